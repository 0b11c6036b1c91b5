"""Comparisons of two models whose rows are known, for each measure."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from string import ascii_lowercase
from typing import Any

import numpy as np

from models.evidence.record.comparison import Comparison, FileHeader, Predictions
from models.registry.spec import Column, ModelSpec

START = datetime(2026, 5, 1, 8, tzinfo=UTC)
COLUMNS = (Column("Age", is_text=False),)


def spec(version: str, classes: tuple[str, ...]) -> ModelSpec:
    positive = classes[1] if len(classes) == 2 else None
    return ModelSpec("airline", version, "run", COLUMNS, classes, positive, label_column="label")


class Rows:
    """Rows of two models with correlated errors; `better`: the share of production's surprise that staging escapes.

    `truth` [N], `answers` [2][N]: classes by place; `said` [2][N, K]: probabilities.
    """

    def __init__(self, seed: int, rows: int, *, classes: int = 2, better: float = 0.0) -> None:
        random = np.random.default_rng(seed)
        self.names = tuple(ascii_lowercase[:classes])
        both, alone = random.normal(0, 1.5, (rows, classes)), random.normal(0, 0.7, (2, rows, classes))
        self.truth = (np.cumsum(_softmax(1.5 * both), axis=1) > random.random((rows, 1))).argmax(axis=1)
        self.said = [_softmax(1.5 * both + alone[0]), _softmax(1.5 * both + (1 - better) * alone[1])]
        self.answers = [said.argmax(axis=1) for said in self.said]

    def record(self, number: int = 1, some: slice = slice(None)) -> Comparison:
        names = np.array(self.names, dtype=object)
        header = FileHeader(f"f{number:04}.csv", str(number), START + timedelta(hours=number))
        record = Comparison.start(spec("1", self.names), spec("2", self.names), header)
        sides = (Predictions(names[a[some]], s[some]) for a, s in zip(self.answers, self.said, strict=True))
        record.add(*sides, names[self.truth[some]])
        return record

    def files(self, count: int) -> Comparison:
        """All rows as the record of so many files, of which each was written and read."""
        whole = Comparison(self.record(0, slice(0, 0)).pair)
        for number, part in enumerate(np.array_split(np.arange(self.truth.size), count)):
            written = json.dumps(self.record(number, slice(part[0], part[-1] + 1)).to_json())
            whole.take(Comparison.from_json(json.loads(written)))
        return whole


def before_measures(record: Comparison) -> Comparison:
    """The record as it was written before it kept what the measures take."""
    fields: dict[str, Any] = json.loads(json.dumps(record.to_json()))
    del fields["judged"]
    return Comparison.from_json(fields)


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits)
    return powers / powers.sum(axis=1, keepdims=True)
