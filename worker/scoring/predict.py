"""The rows of one file through one model: read, validate, score, batch by batch, every row in its place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa

from ledger.receipt import MAX_LISTED_ERRORS, RowError
from models.registry.spec import Column, ModelSpec
from models.scoring.scorer import Scorer, Scores
from models.scoring.table.cells import Coded, copied, text_cells, unfit, unfit_cells
from models.scoring.table.columns import Rows, validate
from models.scoring.table.faults import Fault, FileFault, RowFault, Unreadable
from models.scoring.table.limits import USUAL_LIMITS, Limits
from models.scoring.table.read import Batch, Table

FEW_TEXTS = 5  # a column with fewer texts says nothing about the whole file
NAMED_TEXTS = 5
LONGEST_TEXT = 40  # characters of a text that is named


@dataclass
class Stopwatch:
    """Seconds per step, added up over a file's batches."""

    seconds: dict[str, float] = field(default_factory=dict)
    _laps: dict[str, float] = field(default_factory=dict)

    def lap(self, name: str) -> float:
        """Seconds of a step since the last call."""
        before, self._laps[name] = self._laps.get(name, 0.0), self.seconds.get(name, 0.0)
        return self._laps[name] - before

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

    `labels` [N] str objects (None where the row failed), `probabilities` [N, K], `faults`: index → what was wrong,
    `ids` (a string array) and `truth` [N] where the file has those columns, "" for rows that have no cells; `columns`:
    the model's inputs of the `positions` [n] that could be split into cells.
    """

    first_row: int
    labels: np.ndarray[Any, Any]
    probabilities: np.ndarray[Any, Any]
    faults: dict[int, Fault]
    ids: pa.Array | None
    truth: Coded | None
    positions: np.ndarray[Any, Any]
    columns: dict[str, Coded]

    @property
    def error_texts(self) -> dict[int, str]:
        """What the output says of each failed row."""
        return {
            index: f"{fault.column}: {fault.message}" if fault.column else fault.message
            for index, fault in self.faults.items()
        }

    def columns_of_all(self) -> dict[str, Coded]:
        """The model's inputs of all N rows; gaps in those that have no cells."""
        count = len(self.labels)
        if len(self.positions) == count:
            return self.columns
        return {name: cells.spread(self.positions, count) for name, cells in self.columns.items()}


@dataclass
class Tally:
    """What was counted in a file: all rows, rows without a score by reason, their first errors, and unknown texts."""

    rows: int = 0
    rejected: Counter[RowFault] = field(default_factory=Counter)
    errors: list[RowError] = field(default_factory=list)
    unknown: dict[str, int] | None = None

    def count(self, predicted: Predicted) -> None:
        self.rows += len(predicted.labels)
        self.rejected.update(fault.kind for fault in predicted.faults.values())
        for index in sorted(predicted.faults)[: max(0, MAX_LISTED_ERRORS - len(self.errors))]:
            fault = predicted.faults[index]
            self.errors.append(RowError(fault.message, predicted.first_row + index, fault.column))

    def refuse_without_answers(self) -> None:
        """Raises Unreadable where not one of the rows could be scored."""
        if self.rows and self.rejected.total() == self.rows:
            first = "; ".join(dict.fromkeys(_named(error) for error in self.errors[:3]))
            said = f"none of the {self.rows:,} rows could be scored: {first}"
            if {*self.rejected} == {RowFault.ENCODING}:
                raise Unreadable(
                    FileFault.ENCODING, f"{said}; save it as UTF-8, or name its encoding (UNDERSTUDY_ENCODING)"
                )
            raise Unreadable(FileFault.NO_ROW, said)


@dataclass
class UnknownTally:
    """Texts that the model was never shown, counted over the batches of one file.

    `rows`: column → rows with such a text, for the columns whose texts the model knows.
    """

    columns: Sequence[Column]
    rows: dict[str, int] = field(default_factory=dict)
    _texts: dict[str, int] = field(default_factory=dict)
    _named: dict[str, dict[str, None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for column in self.columns:
            if column.known is not None:
                self.rows[column.name] = self._texts[column.name] = 0
                self._named[column.name] = {}

    def count(self, rows: Rows, failed: np.ndarray[Any, Any]) -> None:
        """Adds a batch. `failed`: [n] True for rows that have an error, which are not counted."""
        for name, odd in rows.unknown.items():
            texts = rows.coded[name]
            odd = odd & ~failed
            self.rows[name] += int(np.count_nonzero(odd))
            self._texts[name] += int(np.count_nonzero(~rows.gaps[name] & ~failed))
            named = self._named[name]
            if len(named) <= NAMED_TEXTS and odd.any():
                named.update(dict.fromkeys(texts.distinct[texts.codes[odd][:1000]]))

    def refuse(self, most: float) -> None:
        """Raises Unreadable where the share `most` or more of a column's texts is unknown."""
        for column in self.columns:
            count, texts = self.rows.get(column.name, 0), self._texts.get(column.name, 0)
            if texts < FEW_TEXTS or not count or count < most * texts:
                continue
            known = f"only {texts - count:,} of {texts:,} texts are" if count < texts else f"none of {texts:,} texts is"
            raise Unreadable(
                FileFault.UNKNOWN,
                f"{column.name}: {known} known ({_listed(list(self._named[column.name]))}); "
                f"known: {_listed(list(column.known or ()))}",
                column.name,
            )


def _listed(texts: Sequence[str]) -> str:
    short = (text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 1]}…" for text in texts[:NAMED_TEXTS])
    return ", ".join(map(repr, short)) + (", …" if len(texts) > NAMED_TEXTS else "")


def predict(
    stream: BinaryIO,
    scorer: Scorer,
    watch: Stopwatch,
    *,
    tally: Tally | None = None,
    truth_column: str | None = None,
    limits: Limits = USUAL_LIMITS,
    all_columns: bool = False,
) -> Iterator[Predicted]:
    """Scores a file batch by batch, and counts in `tally`.

    Raises Unreadable where the file as a whole cannot be scored, at its end too, and ReadAgain as Table does.
    """
    spec, tally = scorer.spec, tally or Tally()
    optional = [name for name in (spec.id_column, truth_column) if name is not None]
    with watch.step("read"):
        table = Table(
            stream,
            [column.name for column in spec.columns],
            optional,
            limits,
            encoding=limits.encoding,
            all_columns=all_columns,
        )
        batches = table.batches()
    unknown = UnknownTally(spec.columns)
    while True:
        with watch.step("read"):
            batch = next(batches, None)
        if batch is None:
            break
        with watch.step("validate"):
            rows = validate(batch, spec.columns, decimal_comma=table.decimal_comma)
            ids = _ids(batch, spec.id_column)
            truth = _truth(batch, truth_column, spec)
            faults = _faults(batch, rows, spec)
        with watch.step("score"):
            scores, refused = scorer.score_each(rows.columns)
        with watch.step("validate"):
            _add_unanswered(faults, batch, scores, refused)
            unknown.count(rows, np.isin(batch.positions, list(faults)))
        predicted = _placed(batch, scores, faults, ids, truth, rows.coded)
        tally.count(predicted)
        yield predicted
    tally.unknown = unknown.rows if spec.knows_texts else None
    tally.refuse_without_answers()
    unknown.refuse(limits.max_unknown)


def _placed(
    batch: Batch,
    scores: Scores,
    faults: dict[int, Fault],
    ids: pa.Array | None,
    truth: Coded | None,
    columns: dict[str, Coded],
) -> Predicted:
    """Answers of the rows that have cells, in the places that these have among all; none for those that failed."""
    labels = np.full(batch.rows, None, dtype=object)
    probabilities = np.full((batch.rows, scores.probabilities.shape[1]), np.nan, dtype=np.float32)
    labels[batch.positions] = scores.labels
    probabilities[batch.positions] = scores.probabilities
    failed = list(faults)
    labels[failed] = None
    probabilities[failed] = np.nan
    return Predicted(batch.first_row, labels, probabilities, faults, ids, truth, batch.positions, columns)


def _faults(batch: Batch, rows: Rows, spec: ModelSpec) -> dict[int, Fault]:
    """Position → what is wrong with the row. A fault of the whole row counts before a fault of a cell."""
    faults = {int(batch.positions[index]): fault for index, fault in rows.faults.items()}
    if spec.id_column is not None and spec.id_column in batch.cells:
        cells = batch.cells[spec.id_column]
        for index in np.flatnonzero(unfit_cells(cells).to_numpy(zero_copy_only=False)):
            fault = unfit(cells[int(index)].as_py())
            if fault is not None:
                faults[int(batch.positions[index])] = fault._replace(column=spec.id_column)
    return faults | batch.faults


def _add_unanswered(faults: dict[int, Fault], batch: Batch, scores: Scores, refused: dict[int, str]) -> None:
    for at, said in refused.items():
        reason = f"the model cannot score this row: {said}"
        faults.setdefault(int(batch.positions[at]), Fault(RowFault.MODEL, reason))
    for index in np.flatnonzero(~np.isfinite(scores.probabilities).all(axis=1)):
        reason = "the model gives no probability: a gap that it does not take, or a number beyond its range"
        faults.setdefault(int(batch.positions[index]), Fault(RowFault.MODEL, reason))


def _named(error: RowError) -> str:
    where = f", column {error.column!r}" if error.column else ""
    return f"row {error.row}{where} {error.message}"


def _ids(batch: Batch, column: str | None) -> pa.Array | None:
    """The rows' ids in their places; None where the file has none."""
    if column is None or column not in batch.cells:
        return None
    found = copied(batch.cells[column])
    if len(found) == batch.rows:
        return found
    places = np.full(batch.rows, len(found), dtype=np.int64)
    places[batch.positions] = np.arange(len(found))
    return pa.concat_arrays([found, pa.array([""])]).take(pa.array(places))


def _truth(batch: Batch, column: str | None, spec: ModelSpec) -> Coded | None:
    """The rows' labels in their places; None where the file has none."""
    if column is None or column not in batch.cells:
        return None
    return text_cells(batch.cells[column], spec.classes).coded.spread(batch.positions, batch.rows)
