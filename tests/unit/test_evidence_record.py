"""The comparison record: what it counts, and that merging changes no bit of it."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.evidence.record.comparison import ROWS, Comparison, FileHeader, Incomparable, Predictions
from models.evidence.record.exact import UNITS, as_float, exact_sum
from models.registry.spec import Column, ModelSpec

CLASSES = ("satisfied", "neutral")
COLUMNS = (
    Column("Class", is_text=True),
    Column("Free text", is_text=True),
    Column("Age", False),
    Column("Wifi", False),
)
PROFILE = {
    "Class": {"categories": ["Business", "Eco"], "counts": [60, 40]},
    "Age": {"edges": [0.0, 30.0, 60.0, 90.0], "counts": [30, 50, 20], "gaps": 3},
}


def spec(version: str = "1", **changes: object) -> ModelSpec:
    fields = {
        "name": "airline",
        "run_id": "r",
        "columns": COLUMNS,
        "classes": CLASSES,
        "positive": "satisfied",
        "label_column": "satisfaction",
        "profile": PROFILE,
        **changes,
    }
    return ModelSpec(version=version, **fields)  # type: ignore[arg-type]


def batch(rows: int, seed: int, classes: tuple[str, ...] = CLASSES) -> tuple:
    """Random answers of two models, with failed rows, gaps, unlabelled rows and labels of no class."""
    random = np.random.default_rng(seed)

    def answers() -> Predictions:
        probabilities = random.dirichlet(np.full(len(classes), 0.3), rows)
        labels = np.array(classes, dtype=object)[probabilities.argmax(1)]
        failed = random.random(rows) < 0.05
        labels[failed], probabilities[failed] = None, np.nan
        return Predictions(labels, probabilities, seconds=float(random.random()))

    truth = random.choice(np.array([*classes, None, "", "what?"], dtype=object), rows, p=_weights(len(classes)))
    columns = {
        "Class": random.choice(np.array(["Business", "Eco", "Eco Plus", None], dtype=object), rows),
        "Free text": np.array([f"text {i}" for i in random.integers(0, 40, rows)], dtype=object),
        "Age": np.where(random.random(rows) < 0.1, np.nan, np.round(random.normal(40, 30, rows), 1)),
        "Wifi": random.integers(0, 6, rows).astype(float),
        "unknown": np.zeros(rows),
    }
    return answers(), answers(), truth, columns


def _weights(classes: int) -> list[float]:
    return [0.85 / classes] * classes + [0.05, 0.05, 0.05]


def part(rows: tuple, chosen: np.ndarray, seconds: tuple[float, float]) -> tuple:
    production, staging, truth, columns = rows
    return (
        Predictions(production.labels[chosen], production.probabilities[chosen], seconds[0]),
        Predictions(staging.labels[chosen], staging.probabilities[chosen], seconds[1]),
        truth[chosen],
        {name: cells[chosen] for name, cells in columns.items()},
    )


@settings(max_examples=60)
@given(
    rows=st.integers(0, 300),
    seed=st.integers(0, 2**32 - 1),
    parts=st.integers(1, 8),
    classes=st.sampled_from([CLASSES, ("a", "b", "c", "d")]),
)
def test_merging_any_split_in_any_order_gives_the_record_of_one_pass(rows, seed, parts, classes):
    random = np.random.default_rng(seed)
    header = FileHeader("flights.csv", "17", datetime(2026, 1, 1, tzinfo=UTC))
    production = spec("1", classes=classes, positive=classes[0])
    staging = spec("2", classes=tuple(reversed(classes)), positive=classes[0])
    everything = batch(rows, seed, classes)
    seconds = random.integers(0, 1 << 50, (parts, 2)) / UNITS
    whole = Comparison.start(production, staging, header)
    whole.add(*part(everything, np.arange(rows), (float(seconds[:, 0].sum()), float(seconds[:, 1].sum()))))
    # given a random split, each part recorded, and written and read again
    belongs = random.integers(0, parts, rows)
    records = []
    for number in range(parts):
        record = Comparison.start(production, staging, header)
        chosen = random.permutation(np.flatnonzero(belongs == number))
        record.add(*part(everything, chosen, tuple(seconds[number])))
        records.append(Comparison.from_json(json.loads(json.dumps(record.to_json()))))
    # when the parts are merged in random order and nesting
    while len(records) > 1:
        first, second = (records.pop(int(random.integers(len(records)))) for _ in range(2))
        first.merge(second)
        records.append(first)
    # then no bit differs
    assert json.dumps(records[0].to_json(), sort_keys=True) == json.dumps(whole.to_json(), sort_keys=True)


def test_a_thousand_random_splits_change_no_bit():
    everything = batch(600, 3)
    whole = Comparison.start(spec(), spec("2"))
    whole.add(*part(everything, np.arange(600), (0.0, 0.0)))
    expected = json.dumps(whole.to_json())
    random = np.random.default_rng(0)
    pieces = []
    for _ in range(100):
        rows = random.permutation(600)
        cuts = np.sort(random.integers(0, 600, 3))
        pieces.append([part(everything, chosen, (0.0, 0.0)) for chosen in np.split(rows, cuts)])
    for split in pieces:
        records = []
        for piece in split:
            record = Comparison.start(spec(), spec("2"))
            record.add(*piece)
            records.append(record)
        for _ in range(10):  # ten orders of each split
            merged = Comparison.start(spec(), spec("2"))
            for at in random.permutation(len(records)):
                merged.merge(records[at])
            assert merged.paired.tolist() == whole.paired.tolist()
            assert merged.sums == whole.sums
        assert json.dumps(merged.to_json()) == expected


def test_the_counts_are_those_of_the_rows():
    labels = np.array(["satisfied", "satisfied", "neutral", "neutral", None, "satisfied"], dtype=object)
    others = np.array(["satisfied", "neutral", "satisfied", "neutral", "neutral", None], dtype=object)
    truth = np.array(["satisfied", "satisfied", "satisfied", "satisfied", "neutral", "neutral"], dtype=object)
    p = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.2, 0.8], [np.nan, np.nan], [0.6, 0.4]])
    s = np.array([[0.7, 0.3], [0.4, 0.6], [0.6, 0.4], [0.1, 0.9], [0.2, 0.8], [np.nan, np.nan]])
    columns = {
        "Class": np.array(["Eco", "Eco", "Business", "First", None, "Eco"], dtype=object),
        "Free text": np.array(["x"] * 6, dtype=object),
        "Age": np.array([-5.0, 30.0, 59.9, 200.0, np.nan, 60.0]),
        "Wifi": np.array([1.0, 2.0, 2.0, np.nan, 1.0, 1.0]),
    }
    record = Comparison.start(spec(), spec("2"))
    record.add(Predictions(labels, p, 0.5), Predictions(others, s, 0.25), truth, columns)
    assert dict(zip(ROWS, record.rows.tolist(), strict=True)) == {
        "read": 6,
        "failed_production": 1,
        "failed_staging": 1,
        "failed_both": 0,
        "unlabelled": 0,
        "unknown_label": 0,
    }
    assert record.agreement.tolist() == [[1, 1], [1, 1]]
    assert record.paired.tolist() == [1, 1, 1, 1]
    assert record.confusion.tolist() == [[[2, 2], [0, 0]], [[2, 2], [0, 0]]]
    assert record.inputs["Age"].tolist() == [1, 2, 2, 1]
    assert record.inputs["Class"].tolist() == [1, 3, 1, 1]
    assert {level: counts.tolist() for level, counts in record.slices["Class"].levels.items()} == {
        "Eco": [2, 1, 1, 1, 0, 0],
        "Business": [1, 0, 0, 0, 1, 0],
        "(other)": [1, 1, 0, 0, 0, 1],
    }
    assert record.slices["Wifi"].levels["2"].tolist() == [2, 0, 0, 1, 1, 0]
    assert record.slices["Age"].levels is None
    assert as_float(record.sums["difference"]) == pytest.approx(-0.2 - 0.4 + 0.3 - 0.1)
    assert as_float(record.sums["seconds.staging"]) == 0.25
    assert as_float(record.sums["log_loss.production"]) == pytest.approx(-np.log([0.9, 0.8, 0.3, 0.2]).sum(), abs=1e-11)
    assert as_float(record.sums["brier.difference"]) == pytest.approx(
        np.sum((1 - np.array([0.7, 0.4, 0.6, 0.1])) ** 2 - (1 - np.array([0.9, 0.8, 0.3, 0.2])) ** 2), abs=1e-11
    )


def test_classes_in_another_order_compare_alike_and_other_classes_do_not():
    production, staging, truth, _ = batch(50, 1)
    straight = Comparison.start(spec(), spec("2"))
    straight.add(production, staging, truth)
    turned = Comparison.start(spec(), spec("2", classes=("neutral", "satisfied")))
    turned.add(production, Predictions(staging.labels, staging.probabilities[:, ::-1], staging.seconds), truth)
    assert turned.sums == straight.sums
    with pytest.raises(Incomparable, match="classes differ: satisfied, neutral against satisfied, angry"):
        Comparison.start(spec(), spec("2", classes=("satisfied", "angry")))


def test_what_cannot_be_compared_is_left_out_with_a_reason():
    other = spec(
        "2", label_column="happy", id_column="key", columns=(Column("Age", is_text=True), Column("New", is_text=False))
    )
    pair = Comparison.start(spec(id_column="id"), other).pair
    assert pair.label_column is None
    assert list(pair.columns) == ["Class", "Free text", "Wifi", "New"]
    assert [reason.split(",")[0] for reason in pair.left_out] == [
        "accuracy",
        "staging's id column 'key'; rows are named by production's",
        "column 'Age'",
    ]
    assert Comparison.start(spec(label_column=None), spec("2")).pair.label_column == "satisfaction"


def test_records_of_two_pairs_do_not_merge():
    with pytest.raises(Incomparable, match="airline version 3"):
        Comparison.start(spec(), spec("2")).merge(Comparison.start(spec(), spec("3")))


def test_files_merge_to_their_first_and_last_event():
    at = datetime(2026, 1, 1, tzinfo=UTC)
    record = Comparison.start(spec(), spec("2"), FileHeader("b.csv", "2", at + timedelta(hours=1)))
    record.merge(Comparison.start(spec(), spec("2"), FileHeader("a.csv", "1", at)))
    assert (record.file, record.first_event, record.last_event) == (None, at, at + timedelta(hours=1))


@pytest.mark.parametrize(
    "damage",
    [
        lambda fields: fields.update(version=2),
        lambda fields: fields.pop("sums"),
        lambda fields: fields["tables"].update(agreement={"at": [4], "counts": [1]}),
        lambda fields: fields["tables"].update(agreement={"at": [0], "counts": [-1]}),
        lambda fields: fields["slices"].update({"Class": {"Eco": [1]}}),
        lambda fields: fields.update(pair=None),
    ],
)
def test_a_damaged_record_is_refused(damage):
    record = Comparison.start(spec(), spec("2"))
    record.add(*batch(20, 5))
    fields = record.to_json()
    damage(fields)
    with pytest.raises(ValueError, match=r"comparison record|outside|below nought"):
        Comparison.from_json(fields)


def test_lengths_that_differ_are_refused():
    production, staging, truth, _ = batch(20, 5)
    with pytest.raises(ValueError, match="lengths that differ"):
        Comparison.start(spec(), spec("2")).add(production, staging, truth[:-1])


def test_exact_sums_hold_beyond_64_bits_and_refuse_what_is_no_number():
    assert as_float(exact_sum(np.full(5000, 2.0**21))) == 5000 * 2.0**21
    assert exact_sum(np.array([-(2.0**-40), 2.0**-40])) == 0
    with pytest.raises(OverflowError):
        exact_sum(np.array([np.nan]))


WITHOUT = """
import sys
class Missing:
    def find_spec(self, name, *_):
        if name in {"scipy", "sklearn", "pandas", "mlflow", "jinja2", "pydantic"}:
            raise ImportError(name)
sys.meta_path.insert(0, Missing())
import models.evidence.record.comparison
"""


def test_a_scoring_process_needs_numpy_and_arrow_alone_for_its_records():
    # given a machine that has none of the rest (Arrow would take pandas where there is one)
    subprocess.run([sys.executable, "-c", WITHOUT], check=True)
