"""Columns of the file beside its predictions: the cells as they stand, in their rows, and no answer changed by them."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ledger.receipt import RowError
from models.scoring.table.carried import carried_names, carried_places
from models.scoring.table.limits import Limits
from tests.unit.evidence.house import House
from tests.worker_fixtures import SPEC, scorer
from transport.bucket import get
from worker.__main__ import Work
from worker.scoring import write
from worker.scoring.predict import Stopwatch, predict
from worker.scoring.tally import Tally

ROWS = [  # the third is torn, the fourth has an age that is none
    ["id", "Gate", "colour", "note", "weight", "age", "Error"],
    ["1", "A1", "red", 'said "no"', "1", "30", "e1"],
    ["2", "=1+1", "green", "two\nlines, or more", "2", "31", ""],
    ["3", "A3"],
    ["4", " A4 ", "red", "", "4", "old", "e4"],
]
OWN = ["row", "id", "prediction", "probability", "error"]


def written(rows):
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue().encode()


def output(data, carry, tally=None, **limits):
    """The rows of the output of this file, its header first."""
    scoring = predict(
        io.BytesIO(data), scorer(), Stopwatch(), tally=tally, limits=Limits(carry=carry, **limits), all_columns=True
    )
    safe = limits.get("spreadsheet_safe", False)
    lines = b"".join(write.rows(SPEC, part, spreadsheet_safe=safe) for part in scoring)
    return list(csv.reader(io.StringIO((write.header(SPEC, scoring.carried) + lines).decode(), newline="")))


def test_all_columns_stand_behind_the_predictions_in_the_order_of_the_file():
    header, *rows = output(written(ROWS), "all")

    # The file's `Error` is not to be taken for ours, and its ids are in `id` already
    assert header == [*OWN, "Gate", "colour", "note", "weight", "age", "Error.1"]
    assert [row[5:] for row in rows] == [ROWS[1][1:], ROWS[2][1:], [""] * 6, ROWS[4][1:]]
    assert [row[:5] for row in rows] == output(written(ROWS), "")[1:]


def test_columns_are_carried_as_they_are_named():
    header, *rows = output(written(ROWS), "NOTE, Gate,weight,Gate")

    assert header == [*OWN, "NOTE", "Gate", "weight"]
    assert rows[0][5:] == ['said "no"', "A1", "1"]
    assert rows[3][4:] == ["age: is not a number: 'old'", "", " A4 ", "4"]


def test_a_column_that_the_file_lacks_is_empty_and_the_receipt_says_so():
    tally = Tally()

    header, *rows = output(written(ROWS), "Seat,Gate", tally)

    assert header == [*OWN, "Seat", "Gate"]
    assert [row[5:] for row in rows] == [["", "A1"], ["", "=1+1"], ["", ""], ["", " A4 "]]
    assert tally.errors[0] == RowError(
        "is to be carried, and the file has no such column of cells: it is empty in the output", column="Seat"
    )


def test_a_file_of_the_header_alone_has_the_columns_too():
    assert output(written(ROWS[:1]), "Gate") == [[*OWN, "Gate"]]


def test_copied_formulas_are_made_harmless_as_ids_are():
    rows = output(written(ROWS), "Gate,note", spreadsheet_safe=True)

    assert [row[5] for row in rows[1:]] == ["A1", "'=1+1", "", " A4 "]


def test_bytes_that_are_no_text_are_marked_and_the_row_is_scored():
    data = written(ROWS[:2]).replace(b"A1", b"A\xff")

    _, row = output(data, "Gate")

    assert row[2:] == ["no", "0.5", "", "A\N{REPLACEMENT CHARACTER}"]


@pytest.mark.parametrize("name", ["row", "ROW", "prediction", "probability", "Error"])
def test_no_carried_column_is_called_like_one_of_the_output_s_own(name):
    names = write.names(SPEC, [name, f"{name}.1", "other"])

    assert names == [*OWN, f"{name}.2", f"{name}.1", "other"]


@given(st.lists(st.sampled_from(["id", "ID", "a", "A", "a.1", "error", "error.1", "Error.1", "", " "]), max_size=8))
def test_every_column_of_the_output_has_a_name_of_its_own(header):
    names = write.names(SPEC, list(carried_places(header, "all")))

    assert len(set(names)) == len(names) == len(OWN) + len(header)
    assert not {name.casefold() for name in names[len(OWN) :]} & set(OWN)


def test_columns_that_share_a_name_are_told_apart_by_a_number():
    assert carried_places(["x", "a", "", "a"], "all") == {"x": 0, "a": 1, "Unnamed: 2": 2, "a.1": 3}
    assert carried_places(["x", "a", "a"], "a.1,X") == {"a.1": 2, "X": 0}
    # in any case, if only one can be meant
    assert carried_places(["Ab", "aB"], "AB,aB") == {"AB": None, "aB": 1}


def test_names_are_read_as_a_line_of_csv():
    assert carried_names(' Gate,"a, b",, Gate') == ["Gate", "a, b"]
    assert carried_names("") == []
    with pytest.raises(ValidationError, match="names by commas are wanted"):
        Work(carry='"Gate')


@pytest.fixture(params=["", "all", "colour,Seat"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> House:
    return House(tmp_path, limits=Limits(carry=request.param, block_bytes=4096))


def test_shadow_and_late_labels_read_outputs_with_carried_columns(house: House) -> None:
    from models.evidence.record.comparison import Comparison
    from models.evidence.sources.labels import LateLabels
    from models.evidence.sources.late_labels import relabel

    long = '"' + 'x""' * 1200 + '"'
    lines = [f"p-{n},red,{n % 7},{n % 90},{long if n == 500 else 'short'}" for n in range(1_000)]
    house.drop("a.csv", "\n".join(["id,colour,weight,age,note", *lines]).encode())
    [stored] = house.bucket.objects("output/comparisons/")
    record = Comparison.from_json(json.loads(get(house.bucket, stored.name)))
    assert record.to_json()["rows"]["unlabelled"] == 1_000

    late = LateLabels()
    late.add([f"p-{n}" for n in range(1_000)], ["yes"] * 1_000)
    again = relabel(house.bucket, record, late)

    assert again.to_json()["rows"]["unlabelled"] == 0
