"""Texts that a version was never shown are said in the report, by column and version."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from models.registry.spec import Column
from tests.unit.evidence.conftest import Run, Summary
from tests.unit.evidence.house import BIAS, House, answered
from tests.unit.registered import MODEL
from tests.worker_fixtures import HEADER, SPEC, fetched
from transport.bucket import put
from worker.versions.swap import InForce

WITHOUT_LABELS = HEADER.rpartition(",")[0]


def knowing(folder: Path, production: tuple[str, ...] | None, staging: tuple[str, ...] | None) -> House:
    """A house whose versions were shown these colours; None where that is not known."""
    versions = []
    for number, known in enumerate((production, staging)):
        columns = (Column("colour", is_text=True, known=known), *SPEC.columns[1:])
        spec = replace(SPEC, name=MODEL, columns=columns, knows_texts=known is not None)
        versions.append(fetched(folder, str(number + 1), bias=number * BIAS, spec=spec))
    return House(folder, InForce(*versions))


def reds(content: bytes) -> int:
    return content.count(b",red,")


def test_they_are_said_per_column_in_json_text_and_page(
    tmp_path: Path, run: Run, summary: Summary, capsys: pytest.CaptureFixture[str]
) -> None:
    # given a version that was shown no red, and one that was shown both
    house = knowing(tmp_path, ("green",), ("green", "red"))
    files = {"a.csv": answered(range(100)), "b.csv": answered(range(100, 200))}
    for name, content in files.items():
        house.drop(name, content)

    rows = sum(map(reds, files.values()))
    assert summary()["unknown"] == [{"column": "colour", "production": rows, "staging": 0}]

    page = tmp_path / "report.html"
    assert run("compare", "--html", str(page)) == 0
    lines = capsys.readouterr().out.splitlines()
    at = [line.strip() for line in lines].index("Texts never shown, rows")
    assert lines[at + 2].split() == ["colour", str(rows), "0"]
    assert "Texts never shown" in page.read_text()


def test_a_version_that_does_not_know_what_it_was_shown_says_nothing(tmp_path: Path, summary: Summary) -> None:
    house = knowing(tmp_path, None, ("green",))
    content = answered(range(100))
    house.drop("a.csv", content)

    assert summary()["unknown"] == [{"column": "colour", "production": None, "staging": reds(content)}]


def test_labels_that_come_later_leave_the_counts_as_they_were(tmp_path: Path, summary: Summary) -> None:
    house = knowing(tmp_path, ("green",), ("green",))
    content = answered(range(100), header=WITHOUT_LABELS)
    house.drop("a.csv", content)
    before = summary()["unknown"]

    put(house.bucket, "labels/all.csv", answered(range(100), header="id,label"))

    after = summary()
    assert after["rows"]["labelled"] == 100
    assert after["unknown"] == before == [{"column": "colour", "production": reds(content), "staging": reds(content)}]


def test_where_every_text_is_known_nothing_is_said(
    tmp_path: Path, run: Run, summary: Summary, capsys: pytest.CaptureFixture[str]
) -> None:
    knowing(tmp_path, ("green", "red"), ("green", "red")).drop("a.csv", answered(range(50)))

    assert summary()["unknown"] == []
    assert run("compare") == 0
    assert "never shown" not in capsys.readouterr().out
