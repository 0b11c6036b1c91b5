"""The real worker on the same surveys as CSV and as Parquet: the same predictions, receipts and comparisons."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from ledger.names import COMPARISONS
from ledger.receipt import Outcome, Status
from tests.chaos.understudy import Running, surveys
from transport.bucket import get

SURVEY = surveys(1, 2_000)["part 000.csv"]


def as_parquet(survey: bytes) -> bytes:
    out = io.BytesIO()
    pd.read_csv(io.BytesIO(survey)).to_parquet(out, index=False, row_group_size=700)
    return out.getvalue()


@pytest.mark.slow
def test_predictions_as_parquet(running: Running) -> None:
    running.drop("a.csv", SURVEY)
    running.publisher()
    first = running.worker()
    running.ready_with_shadow(first)
    running.wait_until_done(1)
    assert first.end() == 0
    plain = pd.read_csv(io.BytesIO(running.output("a.csv") or b""), dtype={"probability": "float32"})

    running.drop("a.csv", SURVEY)
    running.ready_with_shadow(running.worker("--output", "parquet", "--carry", "all"))
    running.wait_until_done(2)

    newest = max(running.receipts("a.csv"), key=lambda receipt: receipt.key)
    assert newest.output == "output/pred_a.parquet"
    assert running.output("a.csv") is None
    found = pd.read_parquet(running.root / "output" / "pred_a.parquet")
    for name in ("row", "id", "prediction", "probability"):
        assert found[name].astype(str).tolist() == plain[name].astype(str).tolist()
    assert "Flight Distance" in found
    assert [path.name for path in (running.root / "output" / "shadow").iterdir()] == ["pred_a.parquet"]


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
