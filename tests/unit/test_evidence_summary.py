"""From the records of files to the summary, its JSON and its tables."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from pydantic import TypeAdapter
from rich.console import Console
from sklearn.metrics import accuracy_score, cohen_kappa_score

from models.evidence.figures.summarise import summarise
from models.evidence.figures.summary import Summary, json_schema
from models.evidence.figures.terms import Terms
from models.evidence.figures.verdict import Kind
from models.evidence.pages.terminal import render
from models.evidence.record.comparison import Comparison, FileHeader, Incomparable, Predictions
from models.registry.spec import Column, ModelSpec, Size
from tests.unit.compared import added_up

SCHEMA = Path(__file__).parents[2] / "docs" / "evidence.schema.json"
CLASSES = ("neutral", "satisfied")
START = datetime(2026, 5, 1, 8, tzinfo=UTC)
PROFILE = {
    "Class": {"categories": ["Eco", "Business"], "counts": [500, 500], "gaps": 0},
    "Age": {"edges": [0.0, 30.0, 50.0, 90.0], "counts": [300, 400, 300], "gaps": 0},
}


def spec(version: str, **changes: object) -> ModelSpec:
    columns = (Column("Class", is_text=True), Column("Age", is_text=False))
    return ModelSpec("airline", version, "run", columns, CLASSES, "satisfied", profile=PROFILE, **changes)


def file_record(number: int, *, better: float = 0.0, rows: int = 400, staging: str = "2", **how: object) -> Comparison:
    """One file, in which staging is right more often by `better` where the class is Business."""
    random = np.random.default_rng(number)
    truth = random.integers(0, 2, rows)
    business = random.random(rows) < 0.5
    wrong_p = random.random(rows) < 0.08
    wrong_s = np.where(random.random(rows) < 0.8, wrong_p, random.random(rows) < 0.08)
    wrong_s &= ~(business & (random.random(rows) < better))
    shift = float(how.get("age", 0.0))  # type: ignore[arg-type]
    sides = []
    for wrong in (wrong_p, wrong_s):
        positive = np.clip(np.abs(wrong - truth) * 0.8 + 0.1 + random.normal(0, 0.03, rows), 0.01, 0.99)
        labels = np.array(CLASSES, dtype=object)[(positive > 0.5).astype(int)]
        sides.append(Predictions(labels, np.column_stack([1 - positive, positive]), 0.02 if len(sides) else 0.04))
    names = np.array(CLASSES, dtype=object)[truth] if how.get("labelled", True) else None
    columns = {
        "Class": np.where(business, "Business", "Eco").astype(object),
        "Age": random.normal(40 + shift, 15, rows),
    }
    at = START + timedelta(hours=number)
    generation = str(how.get("generation", number))
    record = Comparison.start(spec("1"), spec(staging), FileHeader(f"f{number}.csv", generation, at))
    record.add(sides[0], sides[1], names, columns)
    return Comparison.from_json(json.loads(json.dumps(record.to_json())))


def summarised(records: list[Comparison], **options: object) -> Summary:
    (whole,) = added_up(records)
    return summarise(whole, **options)


def text_of(summary: Summary) -> str:
    console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    with console.file:
        console.print(render(summary))
    return console.export_text()


def test_a_better_staging_model_is_said_to_be_better_with_the_figures_of_the_rows():
    records = [file_record(number, better=0.5) for number in range(12)]
    # in any order the files come
    summary = summarised(records[::-1], sizes=(Size(memory_bytes=500_000_000), Size()))
    assert summary.evidence.verdict.kind is Kind.STAGING
    assert summary.evidence.sentence.startswith("Staging is better. Over 4,800 labelled rows")
    assert [look.file for look in summary.evidence.looks] == [f"f{number}.csv" for number in range(12)]
    assert (summary.first_event, summary.last_event) == (START, START + timedelta(hours=11))
    assert summary.rows["compared"] == summary.rows["labelled"] == 4_800
    assert summary.cheaper
    # the slice that makes it better is named
    assert [(each.column, each.level) for each in summary.slices_best] == [("Class", "Business")]
    text = text_of(summary)
    assert "Staging is better" in text
    assert "Class = Business" in text
    assert "500 MB" in text


def test_the_figures_are_those_of_the_predictions():
    summary = summarised([file_record(number, better=0.3) for number in range(5)])
    # told from the confusion tables, by scikit-learn
    for at, side in enumerate(("production", "staging")):
        table = np.array(summary.confusion[at])
        true, predicted = np.indices(table.shape).reshape(2, -1)
        expected = accuracy_score(true, predicted, sample_weight=table.ravel())
        assert getattr(summary.measures["accuracy"], side).value == pytest.approx(expected, abs=1e-12)
        assert sum(each.rows for each in summary.reliability[at]) == 2_000
    first, second = np.indices((2, 2)).reshape(2, -1)
    table = np.array(summary.agreement_table)
    assert summary.kappa == pytest.approx(cohen_kappa_score(first, second, sample_weight=table.ravel()))
    assert sum(summary.difference_histogram) == 2_000
    assert summary.paired["only_staging_right"] - summary.paired["only_production_right"] == pytest.approx(
        summary.measures["accuracy"].difference.value * 2_000
    )


def test_without_labels_there_is_agreement_and_no_verdict():
    summary = summarised([file_record(number, labelled=False) for number in range(3)])
    assert summary.evidence.sentence == "Not yet: no labelled rows so far."
    assert summary.measures == {}
    assert summary.agreement is not None
    assert summary.reliability == ((), ())
    assert "agreement" in text_of(summary)
    json.dumps(summary.to_json(), allow_nan=False)


def test_a_pair_without_any_row_is_summarised_too():
    empty = Comparison.start(spec("1"), spec("2"), FileHeader("none.csv", "1", START))
    summary = summarised([empty])
    assert summary.agreement is None
    json.dumps(summary.to_json(), allow_nan=False)
    assert "no labelled rows" in text_of(summary)
    assert added_up([]) == []


def test_drifted_columns_and_periods_are_seen():
    summary = summarised([file_record(number, age=25.0 if number > 4 else 0.0) for number in range(10)])
    grades = {column.column: column.grade for column in summary.drift}
    assert grades == {"Class": "stable", "Age": "major"}
    age = next(column for column in summary.drift if column.column == "Age")
    assert (len(age.bins), len(age.training), len(age.seen)) == (4, 4, 4)
    assert len(summary.periods) == 10
    assert summary.periods[0].production_psi == 0
    assert "Age" in text_of(summary)


def test_files_that_differ_too_much_raise_the_warning_unless_files_are_the_unit():
    records = [file_record(number, better=0.9 if number % 2 else 0.0, rows=2_000) for number in range(12)]
    warned = summarised(records)
    assert warned.evidence.overdispersion > 1.5
    assert any("--unit file" in note for note in warned.notes)
    by_file = summarised(records, terms=Terms("file"))
    assert not any("--unit file" in note for note in by_file.notes)
    assert by_file.evidence.unit == "file"


def test_pairs_are_kept_apart_and_rescored_files_count_once():
    given = [
        file_record(3, staging="3"),
        file_record(2, generation="2.1"),
        file_record(2),
        file_record(1),
        file_record(2, generation="9"),
    ]
    first, second = added_up(given)
    # in order of time, a re-scoring in place of the scoring before, new content of the same name beside the old
    assert [(each.file.name, each.file.generation) for each in first.files.in_order()] == [
        ("f1.csv", "1"),
        ("f2.csv", "2.1"),
        ("f2.csv", "9"),
    ]
    assert first.rows[0] == 1_200
    assert [each.file.generation for each in second.files.in_order()] == ["3"]
    with pytest.raises(Incomparable):
        first.take(given[0])


def test_what_parts_of_the_files_came_to_merges_to_what_all_of_them_come_to():
    records = [file_record(number, better=0.4) for number in range(9)]
    (whole,) = added_up(records)
    (first,), (second,) = added_up(records[5:]), added_up([*records[:5], records[3]])
    first.merge(second)
    assert summarise(first) == summarise(whole)
    # whose rows have counted is merged too
    first.take(records[0])
    assert summarise(first) == summarise(whole)


def test_what_was_left_out_is_noted():
    record = Comparison.start(spec("1", label_column="a"), spec("2", label_column="b"), FileHeader("f", "1", START))
    summary = summarised([record])
    assert summary.notes[0].startswith("Left out: accuracy, because the label is 'a' for production")


def test_the_json_is_what_the_documented_schema_says():
    # the schema in docs is that of the code: `python -m models.evidence.figures.summary` writes it
    assert json.loads(SCHEMA.read_text()) == json_schema()
    data = summarised([file_record(number) for number in range(3)]).to_json()
    assert TypeAdapter(Summary).validate_python(data, strict=False).to_json() == data
    assert set(data) == set(json_schema()["properties"])
    assert data["evidence"]["verdict"]["kind"] in {kind.value for kind in Kind}
