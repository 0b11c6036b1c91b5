"""What looks like an input and is none, and why."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from edge.not_inputs import NotInputs
from ledger.names import takes, why_no_input

CLOUD = "gs://bucket"


@pytest.mark.parametrize(
    ("name", "prefix", "why"),
    [
        ("new/a.csv", "", "a folder of its own; inputs lie directly below the root of the bucket"),
        ("in/2026/a.CSV.gz", "in/", "a folder of its own; inputs lie directly below in/"),
        ("a.csv", "in/", "outside the prefix 'in/'"),
        ("a.csv.zip", "", "does not end in .csv, .csv.gz or .parquet"),
        ("a.csv.bak", "", "does not end in .csv, .csv.gz or .parquet"),
        ("a.csv (1)", "", "does not end in .csv, .csv.gz or .parquet"),
        ("survey.xlsx", "", "does not end in .csv, .csv.gz or .parquet"),
        ("survey.parquet.zip", "", "does not end in .csv, .csv.gz or .parquet"),
        ("a\nb.csv", "", "a control character"),
        ("a\u2028b.csv", "", "a control character, or an end of line"),
        ("\ud800.csv", "", "not valid Unicode"),
        ("x" * 1000 + ".csv", "", "1004 bytes"),
    ],
)
def test_what_looks_like_an_input_has_its_reason(name: str, prefix: str, why: str) -> None:
    assert why in (why_no_input(name, prefix, CLOUD) or "")
    assert not takes(name, prefix, CLOUD)


@pytest.mark.parametrize(
    "name",
    [
        "notes.txt",
        "README.md",
        "output/pred_a.csv",
        "output/shadow/pred_a.csv",
        "labels/a.csv",
        ".a.csv",
        ".git/a.csv",
        "new/.ipynb_checkpoints/a.csv",
        "a.csv.tmp",
        "a.csv.part",
        "a.csv/",
        "new/",
    ],
)
def test_what_nobody_means_to_be_scored_has_none(name: str) -> None:
    assert why_no_input(name, "", CLOUD) is None
    assert not takes(name, "", CLOUD)


def test_an_input_has_none() -> None:
    assert takes("in/a.csv", "in/", CLOUD)
    assert why_no_input("in/a.csv", "in/", CLOUD) is None


def test_each_name_is_told_once_and_memory_is_bounded() -> None:
    others = NotInputs(remembered=2)

    with capture_logs() as logs:
        for name in ("a", "b", "a", "b", "c", "c", "a"):
            others.tell(name, "why")
        others.tell("notes.txt", None)

    told = [(entry["log_level"], entry["file"]) for entry in logs]
    assert told == [("info", "a"), ("info", "b"), ("info", "c"), ("info", "a"), ("debug", "notes.txt")]
    assert len(others._told) == 2
