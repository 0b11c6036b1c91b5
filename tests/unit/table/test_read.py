"""Reading: rows in = rows out, in order, whatever is wrong with some of them; files that are no table are refused."""

from __future__ import annotations

import csv
import gzip
import io

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from models.scoring.table.limits import Limits, Unreadable
from models.scoring.table.read import MOST_AT_FIRST, Table
from tests.traced import most_held

COLUMNS = ("a", "b")


def zipped(data: bytes) -> bytes:
    """The same bytes at any time: a test is called by its parameters, in each of the processes that run tests."""
    return gzip.compress(data, mtime=0)


def read(data, columns=COLUMNS, optional=(), block_bytes=1 << 20):
    """Every row of the file in order: its cells by column, or what is wrong with it."""
    found = []
    for batch in Table(io.BytesIO(data), columns, optional, Limits(block_bytes=block_bytes)).batches():
        assert batch.first_row == len(found) + 1
        assert batch.rows > 0
        assert {*batch.positions.tolist(), *batch.faults} == set(range(batch.rows))
        here = {
            int(position): {name: cells[index].as_py() for name, cells in batch.cells.items()}
            for index, position in enumerate(batch.positions)
        }
        here |= {position: fault.message for position, fault in batch.faults.items()}
        found += [here[position] for position in range(batch.rows)]
    return found


def refusal(data, columns=COLUMNS, block_bytes=1 << 20):
    with pytest.raises(Unreadable) as caught:
        read(data, columns, block_bytes=block_bytes)
    return caught.value


def rows(*cells):
    return [dict(zip(COLUMNS, row, strict=True)) for row in cells]


PLAIN = rows(("1", "2"), ("3", "4"))


class TestForms:
    @pytest.mark.parametrize(
        "data",
        [
            b"a,b\n1,2\n3,4\n",
            b"a,b\n1,2\n3,4",
            b"a,b\r\n1,2\r\n3,4\r\n",
            b"a,b\r1,2\r3,4\r",
            b"a,b\r\n1,2\n3,4\r",
            b"\xef\xbb\xbfa,b\n1,2\n3,4\n",
            b"a;b\n1;2\n3;4\n",
            b"a\tb\n1\t2\n3\t4\n",
            b"a|b\n1|2\n3|4\n",
            b"sep=;\na;b\n1;2\n3;4\n",
            b'"sep=\t"\r\na\tb\r\n1\t2\r\n3\t4\r\n',
            b"sep=#\na#b\n1#2\n3#4\n",
            "a,b\n1,2\n3,4\n".encode("utf-16"),
            b"\xfe\xff" + "a,b\n1,2\n3,4\n".encode("utf-16-be"),
            "a,b\n1,2\n3,4\n".encode("utf-32"),
            b"A,B\n1,2\n3,4\n",
            "\u00a0a,b\u200b\n1,2\n3,4\n".encode(),
            b"a,b\n1,2,\n3,4,\n",
            b"a,b\n1,2\n3,4\n\x1a",
            b'\xef\xbb\xbf"a","b"\n"1","2"\n"3","4"\n',
            b"\n\r\na,b\n\n1,2\n\n\n3,4\n\n\n",
            b" a , b\n1,2\n3,4\n",
            b"b,x,a\n2,,1\n4,?,3\n",
            b"x,x,a,b,x\n,,1,2,\n,,3,4,\n",
            b"a,b,\n1,2,\n3,4,\n",
            gzip.compress(b"a,b\n1,2\n3,4\n"),
            gzip.compress(b"a,b\n1,") + gzip.compress(b"") + gzip.compress(b"2\n3,4\n"),
            gzip.compress(b"a,b\n1,2\n3,4\n") + b"\0" * 512,
            gzip.compress(b"\xef\xbb\xbfa,b\r\n1,2\r\n3,4"),
        ],
        ids=[
            "plain",
            "no last line end",
            "CRLF",
            "CR",
            "mixed line ends",
            "BOM",
            "semicolons",
            "tabs",
            "bars",
            "sep line",
            "quoted sep line",
            "sep line of a mark of one's own",
            "UTF-16",
            "UTF-16, big end first",
            "UTF-32",
            "another case",
            "blanks without width",
            "an empty field too many",
            "Ctrl-Z",
            "BOM and quotes",
            "blank lines",
            "blanks around names",
            "another order",
            "extra columns of one name",
            "nameless column",
            "gzip",
            "gzip in members",
            "gzip with padding",
            "gzip with BOM and CRLF",
        ],
    )
    def test_the_same_table_in_many_forms(self, data):
        assert read(data) == PLAIN

    def test_quoted_fields_hold_commas_quotes_and_line_ends(self):
        data = b'a,b\r\n"1,1","say ""x"""\r\n"two\r\nlines","\n"\r\n"",""\r\n'

        assert read(data) == rows(("1,1", 'say "x"'), ("two\r\nlines", "\n"), ("", ""))

    def test_a_quote_inside_a_field_is_a_letter_like_any_other(self):
        # Given a size in inches, and blank lines, which a count of quotes and line ends would take for an open quote
        assert read(b'a,b\n5",2\n\n\n3,4\n\n') == rows(('5"', "2"), ("3", "4"))

    def test_names_in_the_header_may_be_quoted_and_have_commas_and_line_ends(self):
        data = b'"Gate, location","two\nlines"\n1,2\n'

        assert read(data, ("Gate, location", "two\nlines")) == [{"Gate, location": "1", "two\nlines": "2"}]

    def test_optional_columns_are_read_where_the_file_has_them(self):
        table = Table(io.BytesIO(b"id,a,b\n7,1,2\n"), COLUMNS, ("id", "label"))

        assert set(table.columns) == {"a", "b", "id"}
        [batch] = table.batches()
        assert batch.cells["id"].to_pylist() == ["7"]

    def test_cells_come_as_they_are_written(self):
        assert read(b"a,b\n NA , 1 \n") == rows((" NA ", " 1 "))

    @pytest.mark.parametrize("block_bytes", range(32, 48))
    def test_what_is_not_utf_8_is_marked_byte_by_byte(self, block_bytes):
        # Given characters of one to four bytes, whole and cut short, at every place of a block
        data = "a,b\né,€\n".encode() + b"\xe9,\xe2\x82\n\xff\xfe,\xf0\x9f\x98\x80\n\xed\xa0\x80,\xf0\x9f\n" * 3
        broken = [("\x1a", "\x1a\x1a"), ("\x1a\x1a", "😀"), ("\x1a\x1a\x1a", "\x1a\x1a")]

        assert read(data, block_bytes=block_bytes) == rows(("é", "€"), *broken * 3)
        assert read(data[:-1], block_bytes=block_bytes) == rows(("é", "€"), *broken * 3)

    @pytest.mark.parametrize("data", [b"a,b", b"a,b\n", b"\xef\xbb\xbfa,b\r\n\r\n", zipped(b"a,b\n")])
    def test_a_header_alone_is_a_table_without_rows(self, data):
        assert read(data) == []


class TestRefusals:
    @pytest.mark.parametrize("data", [b"", b"\n\n", b"  \r\n", zipped(b""), zipped(b"\n")])
    def test_an_empty_file(self, data):
        assert str(refusal(data)) == "the file is empty"

    def test_a_missing_column_is_named_and_so_are_those_there_are(self):
        fault = refusal(b"a,c,d\n1,2,3\n")

        assert fault.column == "b"
        assert str(fault) == "the header lacks 'b' (it has 'a', 'c', 'd')"

    def test_of_many_columns_only_some_are_listed(self):
        assert "and 92 more" in str(refusal(",".join(f"c{i}" for i in range(100)).encode()))

    def test_a_missing_header_is_guessed(self):
        assert str(refusal(b"1,2\n3,4\n")).endswith("is its first line a header?")

    def test_a_column_that_stands_twice(self):
        fault = refusal(b"a,b, a\n1,2,3\n")

        assert (str(fault), fault.column) == ("the header has the column 'a' twice: 'a' and ' a'", "a")

    @pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le"])
    def test_text_of_another_encoding_without_its_mark(self, encoding):
        assert "zero bytes" in str(refusal("a,b\n1,2\n".encode(encoding)))

    def test_a_header_in_latin_1(self):
        assert "save the file as UTF-8" in str(refusal("a,b,é\n1,2,3\n".encode("latin-1")))

    @pytest.mark.parametrize("data", [bytes(range(256)) * 20, b"\x89PNG\r\n\x1a\n" + b"\0" * 50])
    def test_binary_files(self, data):
        assert "zero bytes" in str(refusal(data))

    @pytest.mark.parametrize("cut", [1, 5, 9, 30, 200, 500])
    def test_gzip_cut_short(self, cut):
        whole = gzip.compress(b"a,b\n" + b"".join(b"%d,%d\n" % (n * n, n) for n in range(5_000)))

        assert "gzip data is damaged or cut short" in str(refusal(whole[:-cut]))
        assert "gzip data is damaged or cut short" in str(refusal(whole[:cut])) or cut == 1

    @pytest.mark.parametrize("junk", [b"junk", b"\0\0\0\0junk", b"a,b\n1,2\n"])
    def test_gzip_with_junk_behind_it(self, junk):
        assert "gzip data is damaged" in str(refusal(gzip.compress(b"a,b\n1,2\n") + junk))

    def test_gzip_with_changed_bytes(self):
        whole = bytearray(gzip.compress(b"a,b\n" + b"1,2\n" * 1000))
        whole[-8] ^= 1  # its checksum

        assert "CRC check failed" in str(refusal(bytes(whole)))

    @pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
    @pytest.mark.parametrize("block_bytes", [256, 1 << 20])
    def test_a_quote_that_is_never_closed(self, line_end, block_bytes):
        # Rows that Arrow takes for part of one field must not be lost without a word
        lines = [b"a,b", *(b"1,2" for _ in range(5)), b'1,"2', *(b"3,4" for _ in range(500)), b""]

        reason = str(refusal(line_end.join(lines), block_bytes=block_bytes))

        assert "quote" in reason
        assert "row 6 " in reason or "row 5 " in reason

    def test_a_quote_that_is_open_at_the_very_end(self):
        assert "never closed, in row 2" in str(refusal(b'a,b\n1,2\n3,"4'))

    def test_a_row_longer_than_the_block(self):
        data = b"a,b\n1,2\n3,%s\n5,6\n" % (b"x" * 5_000)

        assert str(refusal(data, block_bytes=1024)) == (
            "behind row 1 a field in quotes never ends, or a row is longer than 1,024 bytes (UNDERSTUDY_BLOCK_BYTES)"
        )
        assert len(read(data)) == 3

    def test_a_header_that_never_ends(self):
        def data(columns):
            return b"a,b%s\n1,2%s\n" % (b",x" * columns, b",3" * columns)

        assert "the header never ends, or is longer than 1,048,576 bytes" in str(refusal(data(1 << 19)))
        assert read(data(10_000)) == rows(("1", "2"))

    def test_a_file_that_begins_with_endless_rows_of_another_table(self):
        # Arrow would skip them all before it gives a first batch: memory must not grow with them
        data = b"a,b\n" + b"1\n" * (3 * MOST_AT_FIRST)

        assert str(refusal(data, block_bytes=4096)) == (
            "the first 100,000 rows have more or fewer fields than the header"
        )

    def test_many_bytes_and_no_row(self):
        refused = refusal(b"a,b\n" + b"\n" * 2000)

        assert refused.kind == "no-row"
        assert str(refused) == "2,000 bytes stand behind the header, and no row in them"
        assert read(b"a,b\n" + b"\n" * 900) == []


class TestMalformedRows:
    def test_a_row_with_too_few_or_too_many_fields_keeps_its_place(self):
        assert read(b"a,b\n1\n1,2\n1,2,3\n\n3,4\n,\n5\n") == [
            "has 1 fields, the header has 2",
            {"a": "1", "b": "2"},
            "has 3 fields, the header has 2",
            {"a": "3", "b": "4"},
            {"a": "", "b": ""},
            "has 1 fields, the header has 2",
        ]

    def test_a_malformed_row_that_is_no_text_costs_no_other_row(self):
        found = read(b"a,b\n1,2\n\xe9\n3,4\n\xff,\xff,\xff\n")

        assert found == [*rows(("1", "2")), "has 1 fields, the header has 2", *rows(("3", "4")), found[3]]
        assert found[3] == "has 3 fields, the header has 2"

    def test_a_table_of_malformed_rows_only(self):
        assert read(b"a,b\n1\n2\n3") == ["has 1 fields, the header has 2"] * 3
        assert read(b"a,b\n" + b"1\n" * 500, block_bytes=256) == ["has 1 fields, the header has 2"] * 500

    def test_blocks_without_one_good_row_do_not_move_what_follows(self):
        good, bad = {"a": "1", "b": "2"}, "has 1 fields, the header has 2"
        data = b"a,b\n1,2\n" + b"x\n" * 700 + b"1,2\n" + b"x\n" * 300 + b"1,2\n"

        assert read(data, block_bytes=256) == [good, *[bad] * 700, good, *[bad] * 300, good]

    def test_memory_is_bounded_by_the_blocks_not_by_the_file(self):
        rows, held = most_held(rows_of_a_file_malformed_in_its_greater_part)

        # What is remembered of it is not in proportion (it has 90,000 malformed rows)
        assert rows == 100_001
        assert held < 2_000_000


def rows_of_a_file_malformed_in_its_greater_part() -> int:
    data = b"a,b\n1,2\n" + (b"x\n" * 9 + b"1,2\n") * 10_000
    return sum(batch.rows for batch in Table(io.BytesIO(data), COLUMNS, limits=Limits(block_bytes=2048)).batches())


cells = st.text(st.sampled_from('ab ,"\n\r;é\t') | st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
fields = st.integers(2, 4)


@st.composite
def tables(draw):
    """A header, and rows of which some have another number of fields, alone and in long runs."""
    width = draw(fields)
    odd = st.lists(cells, min_size=1, max_size=6).filter(lambda row: len(row) != width)
    good = st.lists(cells, min_size=width, max_size=width)
    runs = st.lists(st.tuples(odd | good, st.sampled_from([1, 1, 1, 2, 40])), max_size=12)
    body = [row for row, times in draw(runs) for _ in range(times)]
    # A lone empty field is a blank line for csv.writer's readers, unless it is quoted, as it is here.
    return width, body


@given(
    tables(),
    st.integers(400, 3_000) | st.just(1 << 20),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.booleans(),
    st.booleans(),
)
@settings(max_examples=150)
def test_what_csv_reads_is_read_in_order_at_any_block_size(table, block_bytes, line_end, quoted, zipped):
    width, body = table
    names = [f"c{i}" for i in range(width)]
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator=line_end, quoting=csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL)
    writer.writerows([names, *body])
    data = text.getvalue().encode()
    # csv.reader splits at the line ends that it is given lines by; io's are those of RFC 4180 and the lone CR
    oracle = [row for row in csv.reader(io.StringIO(data.decode(), newline="")) if row][1:]
    assume(not oracle or any(len(row) != width + 1 or row[-1].strip() for row in oracle))  # one field too many is none
    longest = max((len(",".join(row).encode()) * 2 for row in body), default=0)

    found = read(gzip.compress(data) if zipped else data, (names[-1], names[0]), block_bytes=max(block_bytes, longest))

    assert len(found) == len(oracle)
    for got, row in zip(found, oracle, strict=True):
        if isinstance(got, str) and "swallowed" in got:
            assert any("," in cell and ("\n" in cell or "\r" in cell) for cell in row)
        elif len(row) == width:
            assert got == {names[-1]: row[-1], names[0]: row[0]}
        else:
            assert got == f"has {len(row)} fields, the header has {width}"


@given(st.binary(max_size=400), st.sampled_from([b"", b"a,b\n", b"a,b\n1,2\n", b"\x1f\x8b\x08"]))
@settings(max_examples=300)
def test_any_bytes_are_rows_or_refused_with_a_reason(data, start):
    try:
        read(start + data, block_bytes=1024)
    except Unreadable as reason:
        assert str(reason)  # noqa: PT017 - either of both is right
