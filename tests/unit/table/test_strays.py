"""Rows that are no rows of the table: the header again, in any order, and what stray quotes have swallowed."""

from __future__ import annotations

import pytest

from tests.unit.table.test_read import read, refusal

WIDE = tuple("abcdef")


def row(*cells: str, of: tuple[str, ...] = WIDE) -> dict[str, str]:
    return dict(zip(of, cells, strict=True))


@pytest.mark.parametrize("again", [b"a,b,c,d,e,f", b" A,b,c,d,e, F", b'"a","b","c","d","e","f"'])
def test_the_header_again_is_an_error_in_its_place(again):
    data = b"a,b,c,d,e,f\n1,2,3,4,5,6\n" + again + b"\n7,8,9,0,1,2\n"

    assert read(data, WIDE) == [row(*"123456"), "is the header again", row(*"789012")]


@pytest.mark.parametrize("again", [b"b,a,c,d,e,f", b" B,A,C,D,E,F", b"b,a,c,d,x,y"])
def test_in_another_order_it_rejects_the_file(again):
    data = b"a,b,c,d,e,f\n" + b"1,2,3,4,5,6\n" * 1200 + again + b"\n1,2,3,4,5,6\n"

    refused = refusal(data, WIDE)

    assert refused.kind == "another-order"
    assert str(refused).startswith("row 1,201 is a header again, with its columns in another order")


@pytest.mark.parametrize("header", [b",a,b,c,d,e,f", b"a,b,c,d,e,f,,"])
def test_empty_rows_are_none_where_a_column_has_no_name(header):
    width = header.count(b",")
    data = header + b"\n" + b"," * width + b"\n" + b"," * width + b"\n"

    assert read(data, WIDE) == [row(*[""] * 6)] * 2


def test_a_name_of_the_header_in_a_cell_is_a_cell():
    data = b"a,b,c,d,e,f\na,2,3,4,5,6\n1,2,3,4,5,f\n"

    assert read(data, WIDE) == [row("a", *"23456"), row(*"12345", "f")]


def test_two_stray_quotes_have_swallowed_the_rows_between_them():
    lines = [f"{n},2,3,4,5,6\n" for n in range(1, 20)]
    lines[4], lines[9] = f'"{lines[4]}', lines[9].replace(",", '",', 1)

    found = read(("a,b,c,d,e,f\n" + "".join(lines)).encode(), WIDE)

    assert len(found) == 19 - 5
    assert found[4] == (
        "a field in quotes spans 6 lines and holds 25 separators: two stray quotes have swallowed the rows between them"
    )
    assert [one["a"] for one in found[:4] + found[5:]] == [str(n) for n in (1, 2, 3, 4, *range(11, 20))]


def test_a_text_of_some_lines_is_a_text():
    comment = "Dear all,\n\nit was late.\nYours, M."

    assert read(f'a,b,c,d,e,f\n1,2,3,4,5,"{comment}"\n'.encode(), WIDE) == [row(*"12345", comment)]
    assert read(f'a,b\n1,"{comment}"\n'.encode()) == [{"a": "1", "b": comment}]
