"""The real worker on the same surveys as CSV and as Parquet: the same predictions, receipts and comparisons."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import Any

import pandas as pd

from ledger.names import COMPARISONS
from ledger.receipt import Outcome, Status
from tests.chaos.understudy import Running, surveys
from transport.bucket import get

SURVEY = surveys(1, 2_000)["part 000.csv"]


def as_parquet(survey: bytes) -> bytes:
    out = io.BytesIO()
    pd.read_csv(io.BytesIO(survey)).to_parquet(out, index=False, row_group_size=700)
    return out.getvalue()


def figures(receipt: Outcome) -> Outcome:
    """A receipt without what is of one file alone."""
    source = replace(receipt.source, name="", generation=0, size=None, sha256=None)
    return replace(receipt, source=source, output=None, timings={}, attempt=0, worker="", finished="")


def record(running: Running, name: str) -> dict[str, Any]:
    [stored] = running.bucket.objects(f"{COMPARISONS}{name}@")
    found: dict[str, Any] = json.loads(get(running.bucket, stored.name))
    found = {what: value for what, value in found.items() if what not in ("file", "first_event", "last_event")}
    found["sums"] = {what: value for what, value in found["sums"].items() if "seconds" not in what}
    return found


def test_a_survey_in_either_form(running: Running) -> None:
    running.drop("a.csv", SURVEY)
    running.drop("b.parquet", as_parquet(SURVEY))
    running.drop("cut.parquet", as_parquet(SURVEY)[:-5000])
    running.publisher()
    running.ready_with_shadow(running.worker("--carry", "Gender,Seat"))
    running.wait_until_done(3)

    [csv], [parquet], [cut] = (running.receipts(name) for name in ("a.csv", "b.parquet", "cut.parquet"))
    assert (csv.status, csv.rows) == (Status.SCORED, 2_000)
    assert figures(csv) == figures(parquet)
    assert running.output("a.csv") == running.output("b.parquet")
    assert record(running, "a.csv") == record(running, "b.parquet")
    assert (cut.status, cut.fault) == (Status.REJECTED, "damaged")
    assert "its end is missing" in cut.errors[0].message
