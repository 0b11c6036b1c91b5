"""The rows of one file through one model: read, validate, score, batch by batch, every row in its place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, BinaryIO

import numpy as np

from ledger.receipt import MAX_LISTED_ERRORS, RowError
from models.scoring import Scorer, Scores
from worker.limits import USUAL_LIMITS, Limits
from worker.read import Batch, Table
from worker.validate import Rows, texts, validate


@dataclass
class Stopwatch:
    """Seconds per step, added up over a file's batches."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        started = perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + perf_counter() - started


@dataclass(frozen=True)
class Predicted:
    """N consecutive rows of a file, the first of which is number `first_row`.

    `labels` [N] str objects (None where the row failed), `probabilities` [N, K], `errors`: index → what was wrong,
    `ids` and `truth` [N] text where the file has those columns, `columns`: the model's inputs of the `positions`
    [n] that could be split into cells.
    """

    first_row: int
    labels: np.ndarray[Any, Any]
    probabilities: np.ndarray[Any, Any]
    errors: dict[int, RowError]
    ids: np.ndarray[Any, Any] | None
    truth: np.ndarray[Any, Any] | None
    positions: np.ndarray[Any, Any]
    columns: dict[str, np.ndarray[Any, Any]]

    @property
    def error_texts(self) -> dict[int, str]:
        """What the output says of each failed row."""
        return {
            index: f"{error.column}: {error.message}" if error.column else error.message
            for index, error in self.errors.items()
        }


@dataclass
class Tally:
    """Rows seen, rows that could not be scored, and the first of those with their reasons."""

    rows: int = 0
    rejected: int = 0
    errors: list[RowError] = field(default_factory=list)

    def count(self, predicted: Predicted) -> None:
        self.rows += len(predicted.labels)
        self.rejected += len(predicted.errors)
        room = MAX_LISTED_ERRORS - len(self.errors)
        if room > 0:
            self.errors.extend(predicted.errors[index] for index in sorted(predicted.errors)[:room])


def predict(
    stream: BinaryIO,
    scorer: Scorer,
    watch: Stopwatch,
    *,
    truth_column: str | None = None,
    limits: Limits = USUAL_LIMITS,
) -> Iterator[Predicted]:
    """Scores a file batch by batch. Raises Unreadable where the file as a whole cannot be scored."""
    spec = scorer.spec
    optional = [name for name in (spec.id_column, truth_column) if name is not None]
    with watch.step("read"):
        table = Table(stream, [column.name for column in spec.columns], optional, limits)
        batches = table.batches()
    while True:
        with watch.step("read"):
            batch = next(batches, None)
        if batch is None:
            return
        with watch.step("validate"):
            rows = validate(batch, spec.columns)
            ids = _spread(batch, spec.id_column, table)
            truth = _spread(batch, truth_column, table)
        with watch.step("score"):
            scores, refused = scorer.score_each(rows.columns)
        labels = np.full(batch.rows, None, dtype=object)
        probabilities = np.full((batch.rows, len(spec.classes)), np.nan, dtype=np.float32)
        labels[batch.positions] = scores.labels
        probabilities[batch.positions] = scores.probabilities
        errors = _errors(batch, rows, scores, refused)
        failed = list(errors)
        labels[failed] = None
        probabilities[failed] = np.nan
        yield Predicted(batch.first_row, labels, probabilities, errors, ids, truth, batch.positions, rows.columns)


def _errors(batch: Batch, rows: Rows, scores: Scores, refused: dict[int, str]) -> dict[int, RowError]:
    errors = {int(batch.positions[index]): error for index, error in rows.errors.items()}
    for at, said in refused.items():
        position = int(batch.positions[at])
        reason = f"the model cannot score this row: {said}"
        errors.setdefault(position, RowError(reason, batch.first_row + position))
    for index in np.flatnonzero(~np.isfinite(scores.probabilities).all(axis=1)):
        position = int(batch.positions[index])
        reason = "the model gives no probability: a gap that it does not take, or a number beyond its range"
        errors.setdefault(position, RowError(reason, batch.first_row + position))
    errors.update(
        (position, RowError(reason, batch.first_row + position)) for position, reason in batch.malformed.items()
    )
    return errors


def _spread(batch: Batch, column: str | None, table: Table) -> np.ndarray[Any, Any] | None:
    """A text column at its rows' places; "" for rows that have no cells. None where the file lacks it."""
    if column is None or column not in table.columns:
        return None
    spread = np.full(batch.rows, "", dtype=object)
    spread[batch.positions] = texts(batch.cells[column])
    return spread
