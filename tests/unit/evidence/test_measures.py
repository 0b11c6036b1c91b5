"""Each measure's figure is scikit-learn's; its evidence, bounds and forecast fit it; what cannot be asked is said."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    brier_score_loss,
    confusion_matrix,
    f1_score,
    log_loss,
    precision_score,
    recall_score,
)

from models.evidence.figures.judge import judge
from models.evidence.figures.measures.bad_measure import BadMeasure
from models.evidence.figures.measures.costs import Costs
from models.evidence.figures.measures.guards import Guard
from models.evidence.figures.measures.named import MeasureName, yardstick
from models.evidence.figures.summarise import summarise
from models.evidence.figures.terms import Terms
from models.evidence.figures.verdict import Kind
from models.evidence.record.comparison import Comparison
from models.evidence.record.judged import CLIP
from tests.unit.evidence.measured import Rows, before_measures

MEASURES = ("accuracy", "log-loss", "brier", "cost", "recall:b", "precision:b", "f1")


def costs(classes: tuple[str, ...]) -> Costs:
    matrix = np.round(np.random.default_rng(1).normal(1, 2, (len(classes),) * 2), 2)
    return Costs.read(
        json.dumps({t: dict(zip(classes, row, strict=True)) for t, row in zip(classes, matrix.tolist(), strict=True)})
    )


def terms(measure: str, rows: Rows, unit: str = "row", guards: tuple[str, ...] = ()) -> Terms:
    parsed = tuple(map(Guard.parse, guards))
    return Terms(unit, measure=MeasureName.parse(measure), guards=parsed, costs=costs(rows.names))


def by_sklearn(measure: str, rows: Rows, model: int) -> float:
    truth, answers, said, k = rows.truth, rows.answers[model], rows.said[model], len(rows.names)
    labels = list(range(k))
    kind, _, of = measure.partition(":")
    place = rows.names.index(of) if of else 0
    if kind == "log-loss":
        clipped = np.clip(said[np.arange(truth.size), truth], CLIP, 1 - CLIP)
        if k == 2:  # the other class has the rest, so the table adds up to one and may be given as it is
            return float(log_loss(truth == 1, np.where(truth == 1, clipped, 1 - clipped)))
        return float(-np.log(clipped).mean())
    found: dict[str, Callable[[], float]] = {
        "accuracy": lambda: accuracy_score(truth, answers),
        "brier": lambda: brier_score_loss(truth, said[:, 1] if k == 2 else said, labels=labels),
        "cost": lambda: (confusion_matrix(truth, answers, labels=labels) * matrix_of(rows)).sum() / truth.size,
        "recall": lambda: recall_score(truth, answers, labels=[place], average=None)[0],
        "precision": lambda: precision_score(truth, answers, labels=[place], average=None)[0],
        "f1": lambda: (
            f1_score(truth, answers, pos_label=1)
            if k == 2
            else f1_score(truth, answers, labels=labels, average="macro", zero_division=0)
        ),
    }
    return float(found[kind]())


def matrix_of(rows: Rows) -> np.ndarray:
    return np.array(costs(rows.names).matrix(rows.names))


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("measure", MEASURES)
def test_a_figure_is_that_of_scikit_learn_and_its_difference_that_of_the_looks(measure: str, classes: int) -> None:
    rows = Rows(classes, 6_000, classes=classes, better=0.6)
    whole = rows.files(40)
    expected = [by_sklearn(measure, rows, model) for model in range(2)]

    for unit in ("row", "file"):
        evidence = summarise(whole, terms=terms(measure, rows, unit)).evidence

        found = evidence.measure
        assert [found.production, found.staging] == pytest.approx(expected, abs=1e-9)
        better = expected[0] - expected[1] if found.lower_is_better else expected[1] - expected[0]
        assert evidence.looks[-1].difference == pytest.approx(better, abs=1e-9)
        assert evidence.looks[-1].low < better < evidence.looks[-1].high
        assert evidence.looks[-1].rows == 6_000
        assert found.asymptotic == (measure in ("precision:b", "f1") or (unit == "file" and found.lower_is_better))


@pytest.mark.parametrize("classes", [3, 20])
def test_answers_are_counted_by_all_three_classes_however_the_rows_are_split(classes: int) -> None:
    rows = Rows(3, 4_000, classes=classes)
    one, whole = rows.record().judged, rows.files(7).judged

    assert whole.to_json() == one.to_json()
    joint = np.zeros((classes,) * 3, dtype=int)
    np.add.at(joint, (rows.truth, *rows.answers), 1)
    assert np.flatnonzero(joint).tolist() == one.at.tolist()
    assert joint[joint > 0].tolist() == one.counts.tolist()


@pytest.mark.parametrize("unit", [pytest.param("row", marks=pytest.mark.slow), "file"])
@pytest.mark.parametrize("measure", MEASURES)
def test_a_better_model_is_found_and_equal_ones_are_forecast(measure: str, unit: str) -> None:
    better = Rows(5, 60_000, better=1.0)
    better.answers[0] = np.where(
        np.random.default_rng(1).random(60_000) < 0.1, 1 - better.answers[0], better.answers[0]
    )
    whole = better.files(120)

    verdict = judge(whole, whole.files.in_order(), terms(measure, better, unit)).verdict

    assert verdict.kind is Kind.STAGING
    even = Rows(6, 900).files(5)
    open_yet = judge(even, even.files.in_order(), terms(measure, Rows(6, 1), unit)).verdict
    assert open_yet.kind is Kind.NOT_YET
    assert open_yet.more_rows is not None or "more than" in open_yet.reason


def test_records_of_before_are_left_out_of_what_they_cannot_answer_and_that_is_said() -> None:
    rows = Rows(7, 3_000, better=0.5)
    whole = Comparison(rows.record().pair)
    whole.take(before_measures(rows.record(1, slice(0, 1_000))))
    whole.take(rows.record(2, slice(1_000, 3_000)))

    for measure, known in (("accuracy", 3_000), ("brier", 3_000), ("log-loss", 2_000), ("recall:b", 2_000)):
        summary = summarise(whole, terms=terms(measure, rows))
        assert summary.evidence.looks[-1].rows == known
        said = [note for note in summary.notes if note.startswith("Not in the evidence")]
        assert bool(said) == (known < 3_000)
        for note in said:
            assert "1,000 labelled rows, in 1 file" in note
            assert "python -m publisher rescore" in note


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("recall:c", "recall:c: 'c' is none of the classes a, b"),
        ("precision:A", "precision:A: 'A' is none of the classes a, b"),
    ],
)
def test_a_class_that_is_none_of_the_pair_is_named_beside_those_there_are(text: str, says: str) -> None:
    with pytest.raises(BadMeasure, match=says):
        yardstick(MeasureName.parse(text), Rows(1, 2).record().pair)


@pytest.mark.parametrize("text", ["recall", "recall:", "accurracy", "f1:a", "", "cost:x", ":a"])
def test_what_names_no_measure_is_refused_with_those_that_there_are(text: str) -> None:
    with pytest.raises(BadMeasure, match="is no measure: write one of accuracy, log-loss"):
        MeasureName.parse(text)
