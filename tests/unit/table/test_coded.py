"""Cells as distinct ones and codes: the same cells as one by one, however they came."""

from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.registry.spec import Column
from models.scoring.table.cells import CODED, Coded, each, encoded, strings
from models.scoring.table.columns import converted
from models.scoring.table.limits import Limits, Unreadable
from models.scoring.table.read import Table

cells = st.sampled_from(["", "NA", " 5", "5", "5.0", "x", "1e400", "true", "a\x1a", "b\0"]) | st.text(max_size=4)
COLUMNS = [
    Column("c", is_text=True, known=("x", "NA")),
    Column("c", is_text=True, takes_gaps=False),
    Column("c", is_text=False),
    Column("c", is_text=False, is_whole=True),
    Column("c", is_text=False, is_flag=True, is_boolean=True),
]


@given(st.lists(cells, max_size=20), st.sampled_from(COLUMNS))
def test_a_column_means_the_same_as_strings_and_coded(texts, column):
    plain = pa.array(texts, pa.string())
    found, coded = converted(plain, column), converted(plain.dictionary_encode(), column)

    assert [found.bad, found.gaps.tolist()] == [coded.bad, coded.gaps.tolist()]
    np.testing.assert_array_equal(found.values, coded.values)
    assert (found.unknown is None) == (coded.unknown is None)
    if found.unknown is not None:
        assert found.unknown.tolist() == coded.unknown.tolist()


def test_a_distinct_cell_that_no_row_has_is_no_fault():
    column = pa.DictionaryArray.from_arrays(pa.array([1], pa.int32()), pa.array(["x", "5"]))

    found = converted(column, Column("c", is_text=False))

    assert (found.values.tolist(), found.bad) == ([5.0], {})


@given(st.lists(st.sampled_from(["a", "b", ""]) | st.text(max_size=3), max_size=20), st.data())
def test_texts_are_coded_and_spread_among_gaps(texts, data):
    array = np.array([*texts, None], dtype=object)[:-1]
    coded = Coded.of(array)
    assert coded.cells.tolist() == texts
    assert len(coded) == len(texts)
    assert Coded.of(coded) is coded

    count = len(texts) + data.draw(st.integers(0, 5))
    places = np.array(sorted(data.draw(st.permutations(range(count)))[: len(texts)]), dtype=np.int64)
    whole = coded.spread(places, count).cells
    assert whole[places].tolist() == texts
    assert (np.delete(whole, places) == "").all()


def test_numbers_are_coded_with_gaps():
    coded = Coded.of(np.array([5.0, np.nan, 5.0, -1.0]))

    assert len(coded.distinct) == 3
    np.testing.assert_array_equal(coded.cells, [5.0, np.nan, 5.0, -1.0])
    np.testing.assert_array_equal(coded.spread(np.array([1, 2, 4, 5]), 6).cells, [np.nan, 5, np.nan, np.nan, 5, -1])


def test_what_is_asked_of_cells_is_asked_of_the_distinct_ones():
    asked = []

    def is_a(texts):
        asked.append(len(texts))
        return pa.compute.equal(texts, "a")

    plain = pa.array(["a", "b", "a"])
    assert each(plain, is_a).to_pylist() == each(plain.dictionary_encode(), is_a).to_pylist() == [True, False, True]
    assert asked == [3, 2]
    assert strings(plain.dictionary_encode()).equals(strings(plain))
    assert encoded(plain)[1].tolist() == [0, 1, 0]


def test_a_file_gives_the_required_columns_coded_and_the_others_as_strings():
    table = Table(io.BytesIO(b"id,c\n1,x\n2,y\n3,x\n"), ["c"], ["id"])

    [batch] = table.batches()

    assert batch.cells["c"].type == CODED
    assert batch.cells["c"].dictionary.to_pylist() == ["x", "y"]
    assert batch.cells["id"].type == pa.string()


def test_a_field_that_is_too_long_is_named_by_its_first_row():
    table = Table(
        io.BytesIO(b"c\nx\ny\nx\n" + b"z" * 11 + b"\nx\n" + b"z" * 11 + b"\n"), ["c"], (), Limits(max_field_bytes=10)
    )

    with pytest.raises(Unreadable, match="row 4"):
        list(table.batches())
