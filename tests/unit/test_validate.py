"""From cells to what a model takes: what counts as a number, a gap, a whole number, a text, and what makes an error."""

from __future__ import annotations

import math
import struct

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.registry.spec import Column
from models.scoring.table.cells import copied as texts
from models.scoring.table.columns import validate
from models.scoring.table.faults import Fault, RowFault
from models.scoring.table.gaps import GAPS, is_gap, trimmed
from models.scoring.table.read import Batch

TEXT, NUMBER, WHOLE = Column("c", is_text=True), Column("c", is_text=False), Column("c", is_text=False, is_whole=True)


def converted(cells, column):
    """Each cell as the model gets it, or its error's text."""
    beside = pa.array(["x"] * len(cells), pa.string())  # a row of gaps alone is an error of its own
    batch = Batch(1, len(cells), np.arange(len(cells)), {"c": pa.array(cells, pa.string()), "beside": beside}, {})
    rows = validate(batch, [column, Column("beside", is_text=True)])
    assert len(rows.columns["c"]) == len(cells)
    return [rows.faults[i].message if i in rows.faults else rows.columns["c"][i] for i in range(len(cells))]


def same(one, other):
    if isinstance(one, float) and isinstance(other, float):
        return struct.pack("d", one) == struct.pack("d", other) or (math.isnan(one) and math.isnan(other))
    return one == other


class TestNumbers:
    @pytest.mark.parametrize(
        ("cell", "number"),
        [
            ("5", 5.0),
            ("-5.25", -5.25),
            ("+5", 5.0),
            (" 5 ", 5.0),
            ("\t5", 5.0),
            ("\u00a05", 5.0),
            ("\u200b5\ufeff", 5.0),
            (".5", 0.5),
            ("5.", 5.0),
            ("1e3", 1000.0),
            ("1E-3", 0.001),
            ("007", 7.0),
            ("-0", -0.0),
            ("0.1", 0.1),
            ("5e-324", 5e-324),
            ("1e-400", 0.0),
            ("1.7976931348623157e308", 1.7976931348623157e308),
            ("0" * 500 + "7", 7.0),
        ],
    )
    def test_what_is_a_number(self, cell, number):
        assert same(converted([cell], NUMBER)[0], number)

    @pytest.mark.parametrize("cell", [*sorted(GAPS), " NA ", "  ", "NAN", "-nan", " nan"])
    def test_what_is_a_gap(self, cell):
        assert math.isnan(converted([cell], NUMBER)[0])
        assert math.isnan(converted(["x", cell], NUMBER)[1])

    @pytest.mark.parametrize(
        "cell",
        [
            "inf",
            "-Infinity",
            "INF",
            "1e400",
            "1_000",
            "1,000",
            "1.000,5",
            "0x10",
            "0b1",
            "١",
            "５",
            "½",
            "five",
            "5 5",
            "5km",
            "€5",
            "--5",
            "- 5",
            ".",
            "e5",
            "1e",
            "nan(1)",
            "true",
            "2024-01-02",
            "5\u200b5",
        ],
    )
    def test_what_is_neither_is_an_error_that_shows_the_cell(self, cell):
        assert converted([cell], NUMBER) == [f"is not a number: {cell!r}"]
        assert converted(["5", cell, "NA"], NUMBER)[1] == f"is not a number: {cell!r}"

    def test_a_long_cell_is_shown_in_part_and_an_unreadable_one_as_such(self):
        assert converted(["x" * 1_000_000], NUMBER) == [f"is not a number: '{'x' * 40}'…"]

    def test_what_is_no_text_is_said_so(self):
        assert converted(["5\x1a", "5\0"], NUMBER) == ["is not UTF-8 text", "holds a NUL, which is no text"]


class TestWholeNumbers:
    @pytest.mark.parametrize(
        ("cell", "number"), [("5", 5), ("5.0", 5), (" -3 ", -3), ("1e3", 1000), (str(2**53 - 1), 2**53 - 1)]
    )
    def test_what_is_a_whole_number(self, cell, number):
        assert converted([cell], WHOLE) == [number]

    @pytest.mark.parametrize("cell", ["", "NA", "nan", "5.5", "1e-3"])
    def test_a_gap_or_a_fraction_is_an_error(self, cell):
        assert converted(["1", cell], WHOLE) == [1, "is not a whole number; this model takes no gap here"]

    @pytest.mark.parametrize("cell", [str(2**53), "9007199254740993", "1e300", "-1e19", str(2**63)])
    def test_a_number_that_would_silently_become_another_is_an_error(self, cell):
        assert converted([cell], WHOLE) == ["is too large for a whole number"]

    def test_other_errors_are_told_as_they_are(self):
        assert converted(["x", "inf"], WHOLE) == ["is not a number: 'x'", "is not a number: 'inf'"]

    def test_the_rows_with_an_error_have_a_number_all_the_same(self):
        batch = Batch(1, 3, np.arange(3), {"c": pa.array(["1", "x", "1e300"], pa.string())}, {})

        cells = validate(batch, [WHOLE]).columns["c"]

        assert np.isfinite(cells).all()


class TestTexts:
    def test_blanks_at_the_ends_do_not_count_and_gaps_become_empty(self):
        cells = ["red", " NA ", "", "null", "\u00a0ré\n", "dark  red", "\ufeffred\u200b"]

        assert converted(cells, TEXT) == ["red", "", "", "", "ré", "dark  red", "red"]

    def test_a_gap_that_the_model_was_shown_as_a_text_is_one(self):
        known = Column("c", is_text=True, known=("None", "red"))

        assert converted(["None", " None", "none", "NA", "red"], known) == ["None", "None", "none", "", "red"]

    def test_a_cell_that_is_no_text_is_an_error_of_its_row_alone(self):
        assert converted(["a\x1ab", "a\0", "NA", "red"], TEXT) == [
            "is not UTF-8 text",
            "holds a NUL, which is no text",
            "",
            "red",
        ]

    def test_texts_that_the_model_was_never_shown_are_marked(self):
        cells = pa.array(["red", "RED", " red ", "NA", "a\x1a", "blue"])
        batch = Batch(1, 6, np.arange(6), {"c": cells}, {})

        def unknown(known):
            found = validate(batch, [Column("c", is_text=True, known=known)]).unknown
            return found["c"].tolist() if found else None

        assert unknown(("red",)) == [False, True, False, False, False, True]
        assert unknown(()) == [True, True, True, False, False, True]
        assert unknown(None) is None

    def test_texts_for_people_show_what_is_unreadable(self):
        assert texts(pa.array(["a\x1ab", "NA", ""])).tolist() == ["a�b", "NA", ""]

    @given(st.lists(st.sampled_from(["a", "b", "", "NA", "ü"]) | st.text(), max_size=30))
    def test_many_equal_and_many_different_texts_alike(self, cells):
        assert converted(cells, TEXT) == [
            "is not UTF-8 text"
            if "\x1a" in cell
            else "holds a NUL, which is no text"
            if "\0" in cell
            else ""
            if is_gap(cell)
            else trimmed(cell)
            for cell in cells
        ]


class TestFlags:
    FLAG, BOOLEAN = Column("c", False, is_flag=True), Column("c", False, is_flag=True, is_boolean=True)

    @pytest.mark.parametrize(("cell", "number"), [("TRUE", 1), ("true", 1), (" False ", 0), ("1", 1), ("0.0", 0)])
    def test_true_and_one_are_the_same(self, cell, number):
        assert converted([cell, "x"], self.FLAG)[0] == number
        assert converted([cell, "2"], self.BOOLEAN)[0] == number

    def test_another_number_is_one_unless_the_column_was_boolean(self):
        assert converted(["2", "TRUE"], self.FLAG) == [2, 1]
        assert converted(["2", "TRUE"], self.BOOLEAN) == ["is neither true nor false: '2'", 1]

    def test_a_gap_is_a_gap_and_a_word_is_an_error(self):
        assert math.isnan(converted(["NA", "yes"], self.BOOLEAN)[0])
        assert converted(["NA", "yes"], self.BOOLEAN)[1] == "is not a number: 'yes'"


def test_a_decimal_comma_is_one_where_semicolons_separate():
    cells = pa.array(["1,5", " -,5 ", "1.5", "1,000", "1.000,5", "1,2,3", "NA", "1,5e3"])
    batch = Batch(1, 8, np.arange(8), {"c": cells}, {})

    rows = validate(batch, [NUMBER], decimal_comma=True)

    assert rows.columns["c"][[0, 1, 2, 3, 7]].tolist() == [1.5, -0.5, 1.5, 1.0, 1500.0]
    assert {index: fault.message for index, fault in rows.faults.items() if index != 6} == {
        4: "is not a number: '1.000,5'",
        5: "is not a number: '1,2,3'",
    }


def test_a_row_of_gaps_alone_is_an_error():
    cells = {"a": pa.array(["NA", "", "x"]), "b": pa.array([" ", "2", "nan"]), "c": pa.array(["", "", "1"])}
    batch = Batch(1, 3, np.arange(3), cells, {})

    rows = validate(batch, [Column("a", True), Column("b", False), Column("c", False, is_whole=True)])

    assert rows.faults[0].kind is RowFault.EMPTY
    assert rows.faults[1].column == "c"
    assert 2 not in rows.faults


numbers = (
    st.floats().map(str)
    | st.integers().map(str)
    | st.text(" 0123456789.eE+-_,naNAifx\u00a0\u2003\x1c\x85\u3000٣", max_size=6)
    | st.sampled_from([*sorted(GAPS), "NAN", "nan(1)", "\x1a", "Infinity"])
)


@given(numbers, numbers, st.sampled_from([TEXT, NUMBER, WHOLE]))
def test_what_a_cell_means_does_not_depend_on_the_others(cell, other, column):
    [alone] = converted([cell], column)

    beside, _ = converted([cell, other], column)

    assert same(beside, alone)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_double_is_read_exactly(number):
    assert same(converted([repr(number)], NUMBER)[0], number)
    assert same(converted([repr(number), "x"], NUMBER)[0], number)


def test_an_error_names_its_row_and_the_first_bad_column():
    # Given rows 11 to 15 of a file, of which the second could not be split into cells
    cells = {"a": pa.array(["1", "2", "x", "y"]), "b": pa.array(["z", "2", "3", "z"])}
    batch = Batch(11, 5, np.array([0, 2, 3, 4]), cells, {1: Fault(RowFault.FIELDS, "has 1 fields")})

    rows = validate(batch, [Column("a", is_text=False), Column("b", is_text=False)])

    assert {index: fault.column for index, fault in rows.faults.items()} == {0: "b", 2: "a", 3: "a"}


def test_no_rows_are_no_error():
    for column in (TEXT, NUMBER, WHOLE):
        assert converted([], column) == []
