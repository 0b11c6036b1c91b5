"""What is said of rows without labels: near the truth where confidence means what it did, and never a verdict."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from models.evidence.figures.summarise import summarise
from models.evidence.figures.without_labels import MIN_LABELLED
from models.evidence.pages import report, terminal
from models.evidence.record.comparison import Comparison, Predictions
from models.registry.spec import Column, ModelSpec

COLUMNS = (Column("Age", is_text=False),)


def spec(version: str, classes: tuple[str, ...]) -> ModelSpec:
    positive = classes[0] if len(classes) == 2 else None
    return ModelSpec("airline", version, "run", COLUMNS, classes, positive)


class Drawn:
    """Rows whose true classes are drawn from known probabilities. Production sees a part of what tells them.

    Both models say too surely what they see. `shift`: makes rows harder; `threshold`: of two classes above which the
    second is answered.
    """

    def __init__(self, seed: int, rows: int, *, classes: int = 2, shift: float = 0.0, threshold: float = 0.5) -> None:
        random = np.random.default_rng(seed)
        self.names = tuple("abcd"[:classes])
        seen, unseen = random.normal(0, 2.0 - shift, (rows, classes)), random.normal(0, 0.8, (rows, classes))
        self.truth = (np.cumsum(_softmax(seen + unseen), axis=1) > random.random((rows, 1))).argmax(axis=1)
        self.models = []
        for logits in (seen, seen + unseen):
            said = _softmax(1.8 * logits)
            answers = (said[:, 1] > threshold).astype(int) if classes == 2 else said.argmax(axis=1)
            self.models.append((answers, said))

    def accuracy(self) -> list[float]:
        return [float((answers == self.truth).mean()) for answers, _ in self.models]

    def add_to(self, record: Comparison, *, labelled: bool) -> None:
        names = np.array(self.names, dtype=object)
        sides = [Predictions(names[answers], probabilities) for answers, probabilities in self.models]
        record.add(*sides, names[self.truth] if labelled else None)


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits)
    return powers / powers.sum(axis=1, keepdims=True)


def compared(*parts: tuple[Drawn, bool]) -> Comparison:
    names = parts[0][0].names
    record = Comparison.start(spec("1", names), spec("2", names))
    for drawn, labelled in parts:
        drawn.add_to(record, labelled=labelled)
    return Comparison.from_json(json.loads(json.dumps(record.to_json())))


@pytest.mark.parametrize(
    ("how", "near"),
    [({}, 0.015), ({"classes": 4}, 0.04), ({"threshold": 0.25}, 0.015), ({"threshold": 0.8}, 0.015)],
    ids=["two", "four", "low", "high"],  # of four classes one number does not tell how the others share the rest
)
def test_harder_rows_without_labels_are_estimated_near_the_truth(how: dict[str, float], near: float) -> None:
    labelled, later = Drawn(1, 20_000, **how), Drawn(2, 20_000, shift=1.0, **how)  # type: ignore[arg-type]

    found = summarise(compared((labelled, True), (later, False))).without_labels

    assert found is not None
    assert (found.rows, found.calibrated_on) == (20_000, 20_000)
    for estimate, before, true in zip(
        (found.production, found.staging), labelled.accuracy(), later.accuracy(), strict=True
    ):
        assert abs(estimate.value - true) < near
        assert abs(estimate.value - true) < abs(before - true) / 3  # the accuracy of before would be far off
        assert estimate.low is not None
        assert estimate.high is not None
        assert estimate.low < estimate.value < estimate.high


def test_without_enough_labels_it_is_the_models_own_word() -> None:
    few, later = Drawn(3, MIN_LABELLED - 1), Drawn(4, 5_000)

    found = summarise(compared((few, True), (later, False))).without_labels

    assert found is not None
    assert found.calibrated_on == 0
    for estimate, (answers, probabilities) in zip((found.production, found.staging), later.models, strict=True):
        assert estimate.value == pytest.approx(probabilities[np.arange(5_000), answers].mean(), abs=1e-9)
        assert estimate.low is None


def test_rows_with_labels_need_no_estimate() -> None:
    assert summarise(compared((Drawn(5, 500), True))).without_labels is None


def test_records_of_before_are_read_and_give_no_estimate() -> None:
    fields = compared((Drawn(6, 500), False)).to_json()
    del fields["confidence"]

    assert summarise(Comparison.from_json(fields)).without_labels is None


def _in_terminal(record: Comparison) -> str:
    console = Console(width=140, record=True, file=StringIO())
    console.print(terminal.render(summarise(record)))
    return console.export_text()


def _on_the_page(record: Comparison) -> str:
    return report.render(summarise(record))


@pytest.mark.parametrize("shown", [_in_terminal, _on_the_page])
def test_it_is_said_to_be_an_estimate_and_decides_nothing(shown: Callable[[Comparison], str]) -> None:
    record = compared((Drawn(7, 400), True), (Drawn(8, 90_000), False))

    text = shown(record).replace("&#39;", "'")

    assert "never a reason to promote" in text
    assert "90,000 rows, calibrated on 400 labelled rows" in text
    with_labels = summarise(compared((Drawn(7, 400), True)))
    assert summarise(record).evidence == with_labels.evidence
