"""Labels that come later, joined by id to what was predicted then."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np

from models.evidence.figures.summarise import summarise
from models.evidence.record.comparison import Comparison, FileHeader, Predictions
from models.evidence.sources.labels import LateLabels
from models.registry.spec import ModelSpec
from tests.unit.compared import added_up

CLASSES = ("no", "yes")


def objects(*cells: str | None) -> np.ndarray:
    return np.array(cells, dtype=object)


def test_rows_and_labels_find_each_other_by_id():
    labels = LateLabels()
    labels.add(["1", " 2 ", "3", "", "5"], ["yes", "no", "yes", "yes", None])
    # when two files are asked about, one id standing in both
    assert labels.truth(objects("2", "1", "9")).tolist() == ["no", "yes", None]
    assert labels.truth(objects("1", None)).tolist() == ["yes", None]
    # then what found no partner is counted and named
    joined = labels.joined()
    assert (joined.labels, joined.rows, joined.rows_labelled, joined.rows_without_label) == (3, 5, 3, 2)
    assert (joined.named_rows, joined.named_labels) == (("9", ""), ("3",))
    assert str(joined) == "3 of 5 rows have a label; 1 labels belong to no predicted row (3)"


def test_labels_that_contradict_each_other_label_nothing():
    labels = LateLabels()
    labels.add(["1", "1", "2", "2"], ["yes", "no", "yes", "yes"])
    assert labels.truth(objects("1", "2")).tolist() == [None, "yes"]
    assert labels.joined().contradicted == 1
    assert "1 ids have labels that contradict each other and are left out (1)" in str(labels.joined())


def test_labels_that_come_a_day_later_give_the_same_verdict_as_labels_in_the_file():
    random = np.random.default_rng(2)
    names = np.array(CLASSES, dtype=object)

    def spec(version: str) -> ModelSpec:
        return ModelSpec("m", version, "run", (), CLASSES, "yes", id_column="id", label_column="label")

    files = []
    for number in range(10):
        truth = random.integers(0, 2, 500)
        wrong = [random.random(500) < rate for rate in (0.08, 0.05)]
        positive = [np.abs(missed - truth) * 0.7 + 0.15 for missed in wrong]
        models = [Predictions(names[(p > 0.5).astype(int)], np.column_stack([1 - p, p])) for p in positive]
        files.append((objects(*(f"{number}-{row}" for row in range(500))), models, names[truth]))

    def records(late: LateLabels | None) -> list[Comparison]:
        made = []
        for number, (ids, models, truth) in enumerate(files):
            at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=number)
            record = Comparison.start(spec("1"), spec("2"), FileHeader(f"{number}.csv", "1", at))
            record.add(*models, late.truth(ids) if late else truth)
            made.append(record)
        return made

    # given the labels of all files in one file, in another order
    late = LateLabels()
    order = random.permutation(5_000)
    late.add(
        np.concatenate([ids for ids, _, _ in files])[order], np.concatenate([truth for _, _, truth in files])[order]
    )
    at_once, later = (summarise(added_up(records(how))[0]) for how in (None, late))
    assert at_once.evidence.verdict.look is not None
    assert later == at_once
    assert late.joined().labels_without_row == 0
