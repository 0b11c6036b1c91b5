"""The rows of one file through one model: read, validate, score, batch by batch, every row in its place."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import BinaryIO

import numpy as np
import pyarrow as pa

from ledger.receipt import RowError
from models.registry.spec import ModelSpec
from models.scoring.scorer import Scorer, Scores
from models.scoring.table.cells import Coded, copied, text_cells, unfit, unfit_cells
from models.scoring.table.columns import Rows, validate
from models.scoring.table.dialect import folded
from models.scoring.table.faults import Fault, RowFault
from models.scoring.table.limits import USUAL_LIMITS, Limits
from models.scoring.table.opened import OpenTable, open_table
from models.scoring.table.read import Batch
from worker.scoring.predicted import Predicted
from worker.scoring.tally import Tally, UnknownTally

_LACKING = "is to be carried, and the file has no such column of cells: it is empty in the output"


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
class Scoring:
    """An open file on its way through a model: its rows, scored batch by batch, and name and type of what is `carried`.

    Iterating raises Unreadable where the file as a whole cannot be scored, at its end too, and ReadAgain as Table does.
    """

    table: OpenTable
    scorer: Scorer
    watch: Stopwatch
    tally: Tally
    truth_column: str | None
    limits: Limits
    carried: Mapping[str, pa.DataType]

    def __iter__(self) -> Iterator[Predicted]:
        spec, watch = self.scorer.spec, self.watch
        batches = self.table.batches()
        unknown = UnknownTally(spec.columns)
        while True:
            with watch.step("read"):
                batch = next(batches, None)
            if batch is None:
                break
            with watch.step("validate"):
                rows = validate(batch, spec.columns, decimal_comma=self.table.decimal_comma)
                truth = _truth(batch, self.truth_column, spec)
                faults = _faults(batch, rows, spec)
            with watch.step("score"):
                scores, refused = self.scorer.score_each(rows.columns)
            with watch.step("validate"):
                _add_unanswered(faults, batch, scores, refused)
                unknown.count(rows, np.isin(batch.positions, list(faults)))
            predicted = _placed(
                batch, scores, faults, _ids(batch, spec.id_column), truth, rows.coded, _beside(batch, self.carried)
            )
            self.tally.count(predicted)
            yield predicted
        self.tally.unknown = unknown.rows if spec.knows_texts else None
        self.tally.refuse_without_answers()
        unknown.refuse(self.limits.max_unknown)


def predict(
    stream: BinaryIO,
    scorer: Scorer,
    watch: Stopwatch,
    *,
    name: str = "",
    tally: Tally | None = None,
    truth_column: str | None = None,
    limits: Limits = USUAL_LIMITS,
    all_columns: bool = False,
) -> Scoring:
    """Opens the file `name`, to be scored batch by batch and counted in `tally`. Raises Unreadable."""
    spec, tally = scorer.spec, tally or Tally()
    optional = [name for name in (spec.id_column, truth_column) if name is not None]
    with watch.step("read"):
        table = open_table(
            stream,
            name,
            [column.name for column in spec.columns],
            optional,
            limits,
            encoding=limits.encoding,
            all_columns=all_columns,
        )
    tally.errors += [RowError(_LACKING, column=column) for column, place in table.carried.items() if place is None]
    return Scoring(table, scorer, watch, tally, truth_column, limits, _carried(table, spec))


def _carried(table: OpenTable, spec: ModelSpec) -> Mapping[str, pa.DataType]:
    """Name → type of what is carried, without the column of ids if that is called `id`: it is written anyway."""
    ids = table.columns.get(spec.id_column) if spec.id_column else None
    return {
        name: table.carried_type(name)
        for name, place in table.carried.items()
        if place is None or place != ids or folded(name) != "id"
    }


def _placed(
    batch: Batch,
    scores: Scores,
    faults: dict[int, Fault],
    ids: pa.Array | None,
    truth: Coded | None,
    columns: dict[str, Coded],
    carried: Sequence[pa.Array],
) -> Predicted:
    """Answers of the rows that have cells, in the places that these have among all; none for those that failed."""
    labels = np.full(batch.rows, None, dtype=object)
    probabilities = np.full((batch.rows, scores.probabilities.shape[1]), np.nan, dtype=np.float32)
    labels[batch.positions] = scores.labels
    probabilities[batch.positions] = scores.probabilities
    failed = list(faults)
    labels[failed] = None
    probabilities[failed] = np.nan
    return Predicted(batch.first_row, labels, probabilities, faults, ids, truth, batch.positions, columns, carried)


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


def _ids(batch: Batch, column: str | None) -> pa.Array | None:
    """The rows' ids in their places; None where the file has none."""
    return None if column is None or column not in batch.cells else _placed_texts(batch, batch.cells[column])


def _beside(batch: Batch, carried: Collection[str]) -> list[pa.Array]:
    """The cells of the carried columns in their places, "" where the file has none."""
    empty = pa.repeat(pa.scalar(""), batch.rows) if carried else None
    cells = (batch.carried.get(name) for name in carried)
    return [empty if found is None else _placed_texts(batch, found) if _is_text(found) else found for found in cells]


def _is_text(cells: pa.Array) -> bool:
    return bool(pa.types.is_string(cells.type) or pa.types.is_dictionary(cells.type))


def _placed_texts(batch: Batch, cells: pa.Array) -> pa.Array:
    """The cells [n] of the rows that have any as texts, in the places that these have among all [N]."""
    found = copied(cells)
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
