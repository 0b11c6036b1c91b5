"""The comparison record of one file, made again with labels that came later, from what was predicted then."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from typing import Any, BinaryIO

import numpy as np

from ledger.commit import SOURCE_GENERATION
from ledger.names import ShadowKey
from models.evidence.record.comparison import Comparison
from models.evidence.record.exact import as_float
from models.evidence.record.pair import Predictions
from models.evidence.sources.labels import LateLabels
from models.evidence.sources.streams import spooled, table_rows
from models.registry.spec import Column
from models.scoring.table.cells import Coded, text_cells
from models.scoring.table.columns import converted
from models.scoring.table.faults import Unreadable
from models.scoring.table.opened import open_table
from models.scoring.table.read import Batch
from transport.bucket import Bucket, ObjectNotFound
from transport.event import Generation

_OTHERWISE = "its outputs are not those that were compared"
_OTHER_ROWS = "the file and its outputs differ in their rows"

Rows = Sequence[Sequence[str]]


class NotJoined(Exception):
    """The file's record stays as it was; the text says why."""


@dataclass(frozen=True)
class Streams:
    """Input, production's output and staging's output, all of the scoring that the record is about; seekable."""

    rows: BinaryIO
    production: BinaryIO
    staging: BinaryIO


def relabel(bucket: Bucket, old: Comparison, late: LateLabels, alias: str = "") -> Comparison:
    """The file's record made again with labels that came later. Raises NotJoined where that can no longer be.

    `alias`: of the challenger whose record it is, as ShadowKey has it.

    Only what was predicted then counts: the content and the outputs of that very scoring.
    """
    if old.file is None:
        raise NotJoined("the record names no file")
    key = ShadowKey(old.file.name, Generation.parse(old.file.generation), alias)
    try:
        with ExitStack() as stack:
            production, staging = (_output(stack, bucket, key, name) for name in (key.outputs, key.shadows))
            given = spooled(stack, bucket, key.name, key.generation.content)
            return with_late_labels(old, Streams(given, production, staging), late)
    except ObjectNotFound:
        raise NotJoined("the file or its outputs were replaced since, by another content or re-scoring") from None


def _output(stack: ExitStack, bucket: Bucket, key: ShadowKey, forms: Sequence[str]) -> BinaryIO:
    for name in forms:
        found = bucket.stat(name)
        if found is not None and found.metadata.get(SOURCE_GENERATION) == str(key.generation):
            return spooled(stack, bucket, name, found.generation)
    raise ObjectNotFound(forms[0])


def with_late_labels(old: Comparison, streams: Streams, late: LateLabels) -> Comparison:
    """The record as it would be had the labels stood in the file; a label that does stand there is kept.

    `old`: the record so far: the pair, the file and what labels cannot change (seconds, histograms of the inputs) are
    taken from it. Raises NotJoined where the streams are not those that `old` came from.
    """
    pair = old.pair
    try:
        production = _Output(streams.production, pair.classes, pair.positive, np.float64)
        staging_classes = [""] * len(pair.classes)
        for label, place in zip(pair.classes, pair.staging_order, strict=True):
            staging_classes[place] = label
        # A worker compares the float32 that the model gave; its text gives that back only as float32.
        staging = _Output(streams.staging, staging_classes, pair.positive, np.float32)
        given = _Given(streams.rows, old)
        new = Comparison(pair, old.file)
        for batch in given.batches():
            first, second = (list(islice(output.rows, batch.rows)) for output in (production, staging))
            if len(first) != batch.rows or len(second) != batch.rows:
                raise NotJoined(_OTHER_ROWS)
            ids = production.ids(first)
            truth = late.truth(ids)
            own = given.labels(batch)
            stands = own != ""
            truth[stands] = own[stands]
            new.add(production.predictions(first), staging.predictions(second), truth, given.columns(batch), ids)
        if next(production.rows, None) is not None or next(staging.rows, None) is not None:
            raise NotJoined(_OTHER_ROWS)
    except (csv.Error, ValueError, IndexError, EOFError, OSError, Unreadable) as error:
        raise NotJoined(f"the file or its outputs cannot be read again: {error}") from None
    _refuse_other_outputs(old, new)
    for name in ("seconds.production", "seconds.staging"):
        new.sums[name] = old.sums[name]
    new.inputs, new.unknown = old.inputs, old.unknown
    for name, levels in old.slices.items():
        if levels.levels is None:
            new.slices[name].levels = None
    return new


def _refuse_other_outputs(old: Comparison, new: Comparison) -> None:
    moved = abs(as_float(old.sums["difference"] - new.sums["difference"]))
    if (
        not np.array_equal(old.agreement, new.agreement)
        or not np.array_equal(old.rows[:4], new.rows[:4])
        or moved > 1e-6 * max(1, int(old.rows[0]))
    ):
        raise NotJoined(_OTHERWISE)


class _Output:
    """One model's predictions as they were written; `classes` in the order of its own probabilities."""

    def __init__(self, stream: BinaryIO, classes: Sequence[str], positive: str, kind: Any) -> None:
        header, self.rows = _table(stream)
        self._id, self._prediction = header.index("id"), header.index("prediction")
        self._classes, self._positive, self._kind = list(classes), positive, kind
        self._written: int | None = None  # with two classes: the one whose probability stands in the output
        if len(self._classes) == 2:
            self._probabilities = [header.index("probability")]
        else:
            self._probabilities = [header.index(f"probability_{label}") for label in self._classes]

    def ids(self, rows: Rows) -> np.ndarray[Any, Any]:
        """[N] text."""
        return _texts(row[self._id] for row in rows)

    def predictions(self, rows: Rows) -> Predictions:
        """What a worker held for N rows."""
        labels = _texts(row[self._prediction] or None for row in rows)
        columns = [
            np.array([row[place] or "nan" for row in rows]).astype(self._kind).astype(np.float64)
            for place in self._probabilities
        ]
        if len(self._classes) != 2:
            return Predictions(labels, np.column_stack(columns))
        if self._written is None:
            self._written = self._class_written(labels, columns[0])
        both = np.empty((len(labels), 2))
        both[:, self._written], both[:, 1 - self._written] = columns[0], 1 - columns[0]
        return Predictions(labels, both)

    def _class_written(self, labels: np.ndarray[Any, Any], probability: np.ndarray[Any, Any]) -> int:
        # An output does not say whose probability it holds; the two versions may have other ideas of "positive". A row
        # of a class has more of that class's probability than others, whatever threshold a version decides by.
        place = self._classes.index(self._positive)
        known = ~np.isnan(probability)
        chosen, others = known & (labels == self._positive), known & (labels != self._positive)
        if chosen.any() and others.any():
            fits = probability[chosen].mean() >= probability[others].mean()
        else:
            fits = np.count_nonzero((probability > 0.5)[known] == chosen[known]) >= np.count_nonzero(known) / 2
        return place if fits else 1 - place


class _Given:
    """The file's own labels, and its cells as the models took them."""

    def __init__(self, stream: BinaryIO, old: Comparison) -> None:
        self._pair = old.pair
        known = {name: bins.categories for name, bins in old.pair.training.items()}
        self._columns = [
            Column(name, old.pair.columns[name], is_flag=not old.pair.columns[name], known=known.get(name))
            for name, levels in old.slices.items()
            if levels.levels
        ]
        label = [old.pair.label_column] if old.pair.label_column else []
        encoding = old.file.encoding if old.file else "utf-8"
        name = old.file.name if old.file else ""
        self._table = open_table(stream, name, list(old.pair.columns), label, encoding=encoding, all_columns=True)

    def batches(self) -> Iterator[Batch]:
        return self._table.batches()

    def labels(self, batch: Batch) -> np.ndarray[Any, Any]:
        """[N] text, "" where a row has none."""
        name = self._pair.label_column
        labels = np.full(batch.rows, "", dtype=object)
        if name in batch.cells:
            labels[batch.positions] = text_cells(batch.cells[name], self._pair.classes).values
        return labels

    def columns(self, batch: Batch) -> dict[str, Coded]:
        """Column → [N] cells; those of rows that could not be scored are gaps where they mean nothing."""
        found: dict[str, Coded] = {}
        for column in self._columns:
            if column.name in batch.cells:
                cells = converted(batch.cells[column.name], column, decimal_comma=self._table.decimal_comma)
                found[column.name] = cells.coded.spread(batch.positions, batch.rows)
        return found


def _table(stream: BinaryIO) -> tuple[list[str], Iterator[list[str]]]:
    rows = table_rows(stream, errors="replace")
    return next(rows, []), rows


def _texts(cells: Iterator[str | None]) -> np.ndarray[Any, Any]:
    found = list(cells)
    array = np.empty(len(found), dtype=object)
    array[:] = found
    return array
