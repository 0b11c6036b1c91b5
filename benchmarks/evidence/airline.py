"""Which measure decides after how many rows between two registered versions, each figure beside scikit-learn's.

python -m models train forest network --data train.csv --test test.csv
python -m benchmarks.evidence.airline --data test.csv
"""

from __future__ import annotations

import io
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field
from sklearn import metrics

from edge.command import Command, main
from models.evidence.figures.measures.costs import Costs
from models.evidence.figures.measures.named import MeasureName
from models.evidence.figures.summarise import summarise
from models.evidence.figures.terms import Terms
from models.evidence.figures.verdict import Kind
from models.evidence.record.comparison import Comparison, FileHeader, Predictions
from models.evidence.record.judged import CLIP
from models.registry.client import PRODUCTION, STAGING, Registry
from models.scoring.scorer import Scorer
from worker.scoring.predict import Stopwatch, predict

START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Answers:
    """What one version says of N labelled rows, file by file."""

    labels: list[Any]
    probabilities: list[Any]
    truth: list[Any]


class Airline(Command):
    """Says which measure decides after how many rows between the registered production and staging versions."""

    data: Path = Field(description="a labelled CSV")
    files: int = Field(50, ge=1, description="in how many files its rows come")
    registry: str = Field("sqlite:///mlflow.db", description="the MLflow registry")
    model: str = Field("airline-satisfaction", description="the registered model")

    def run(self) -> int:
        """Scores, compares and prints."""
        compare(self)
        return 0


def compare(asked: Airline) -> None:
    """A line per measure."""
    header, *rows = asked.data.read_bytes().splitlines(keepends=True)
    files = [header + b"".join(rows[part[0] : part[-1] + 1]) for part in np.array_split(range(len(rows)), asked.files)]
    registry = Registry(asked.registry, asked.model)
    (first, second), sides = zip(*(_answers(registry, alias, files) for alias in (PRODUCTION, STAGING)), strict=True)
    whole = Comparison(Comparison.start(first, second).pair)
    for number, (production, staging) in enumerate(zip(*map(_by_file, sides), strict=True)):
        record = Comparison.start(first, second, FileHeader(f"f{number:03}.csv", "1", START + timedelta(hours=number)))
        record.add(production, staging, sides[0].truth[number])
        whole.take(Comparison.from_json(json.loads(json.dumps(record.to_json()))))
    print(f"{first} against {second}: {int(whole.paired.sum()):,} labelled rows in {asked.files} files")
    print("| measure | production | staging | off scikit-learn by | by row | by file |")
    print("| --- | --- | --- | --- | --- | --- |")
    classes = whole.pair.classes
    costs = Costs(
        "the cost of a missed class",
        {t: {p: float(t != p) * (1 + 4 * (t == classes[1])) for p in classes} for t in classes},
    )
    for name in (
        "accuracy",
        "log-loss",
        "brier",
        "cost",
        *(f"{k}:{c}" for k in ("recall", "precision") for c in classes),
        "f1",
    ):
        print(_line(whole, MeasureName.parse(name), costs, sides), flush=True)


def _answers(registry: Registry, alias: str, files: Sequence[bytes]) -> tuple[Any, Answers]:
    version = registry.resolve(alias)
    if version is None:
        raise SystemExit(f"no version is {alias}: train two, as the help says")
    with tempfile.TemporaryDirectory() as folder:
        fetched = registry.fetch(version, Path(folder))
        scorer = Scorer(fetched.graph.read_bytes(), fetched.spec)
    found = Answers([], [], [])
    for content in files:
        parts = list(predict(io.BytesIO(content), scorer, Stopwatch(), truth_column=fetched.spec.label_column))
        found.labels.append(np.concatenate([part.labels for part in parts]))
        found.probabilities.append(np.concatenate([part.probabilities for part in parts]).astype(np.float64))
        found.truth.append(
            np.concatenate([part.truth.distinct[part.truth.codes] for part in parts if part.truth is not None])
        )
    return fetched.spec, found


def _by_file(side: Answers) -> list[Predictions]:
    return [Predictions(*each) for each in zip(side.labels, side.probabilities, strict=True)]


def _line(whole: Comparison, name: MeasureName, costs: Costs, sides: Sequence[Answers]) -> str:
    cells = []
    for unit in ("row", "file"):
        evidence = summarise(whole, terms=Terms(unit, measure=name, costs=costs)).evidence
        verdict, by = evidence.verdict, evidence.measure
        said = str(verdict.kind) if verdict.kind is not Kind.NO_DIFFERENCE else str(verdict)
        after = "" if verdict.look is None else f" after {evidence.looks[verdict.look].rows:,} rows"
        cells.append(f"{said}{after}{' (asymptotic)' if by.asymptotic else ''}")
    expected = [_by_sklearn(name, side, whole.pair.classes, costs) for side in sides]
    shown = [by.production or 0.0, by.staging or 0.0]
    off = max(abs(figure - known) for figure, known in zip(shown, expected, strict=True))
    return f"| {name} | {shown[0]:.5f} | {shown[1]:.5f} | {off:.0e} | {' | '.join(cells)} |"


def _by_sklearn(name: MeasureName, side: Answers, classes: Sequence[str], costs: Costs) -> float:
    truth, labels = np.concatenate(side.truth).astype(str), np.concatenate(side.labels).astype(str)
    positive = np.concatenate(side.probabilities)[:, 1]
    if name.kind == "cost":
        table = metrics.confusion_matrix(truth, labels, labels=list(classes))
        return float((table * np.array(costs.matrix(classes))).sum() / truth.size)
    if name.kind == "log-loss":
        return float(metrics.log_loss(truth == classes[1], np.clip(positive, CLIP, 1 - CLIP)))
    if name.kind == "brier":
        return float(metrics.brier_score_loss(truth == classes[1], positive))
    if name.kind == "accuracy":
        return float(metrics.accuracy_score(truth, labels))
    score = {"recall": metrics.recall_score, "precision": metrics.precision_score, "f1": metrics.f1_score}[name.kind]
    return float(score(truth, labels, pos_label=name.of or classes[1]))


if __name__ == "__main__":
    sys.exit(main("benchmarks.evidence.airline", Airline.__doc__ or "", {}, default=Airline))
