"""The comparison record of one file, made anew with labels that came later, from what was predicted then."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice, zip_longest
from typing import Any, BinaryIO

import numpy as np

from models.csv_rows import csv_rows
from models.evidence.exact import as_float
from models.evidence.labels import LateLabels
from models.evidence.pair import Pair, Predictions
from models.evidence.record import Comparison
from models.rows import GAPS

BATCH_ROWS = 10_000
_OTHERWISE = "its outputs are not those that were compared"

Rows = Sequence[Sequence[str]]


class NotRelabelled(Exception):
    """The file's record stays as it was; the text says why."""


@dataclass(frozen=True)
class Streams:
    """Input, production's output and staging's output, all of the scoring that the record is about; seekable."""

    rows: BinaryIO
    production: BinaryIO
    staging: BinaryIO


def relabelled(old: Comparison, streams: Streams, late: LateLabels) -> Comparison:
    """The record as it would be had the labels stood in the file; a label that does stand there is kept.

    `old`: the record so far: the pair, the file and what labels cannot change (seconds, histograms of the inputs) are
    taken from it. Raises NotRelabelled where the streams are not those that `old` came from.
    """
    pair = old.pair
    try:
        header, rows = _table(streams.rows)
        production = _Output(streams.production, pair.classes, pair.positive, np.float64)
        staging_classes = [""] * len(pair.classes)
        for label, place in zip(pair.classes, pair.staging_order, strict=True):
            staging_classes[place] = label
        # A worker compares the float32 that the model gave; its text gives that back only as float32.
        staging = _Output(streams.staging, staging_classes, pair.positive, np.float32)
        cells = _Cells(header, pair, [name for name, levels in old.slices.items() if levels.levels])
        new = Comparison(pair, old.file)
        for batch in _batches(zip_longest(rows, production.rows, staging.rows)):
            if any(None in each for each in batch):
                raise NotRelabelled("the file and its outputs differ in their rows")
            given, first, second = (list(part) for part in zip(*batch, strict=True))
            truth = late.truth(production.ids(first))
            own = cells.labels(given)
            stands = own != ""
            truth[stands] = own[stands]
            new.add(production.predictions(first), staging.predictions(second), truth, cells.columns(given))
    except (csv.Error, ValueError, IndexError, EOFError, OSError) as error:
        raise NotRelabelled(f"the file or its outputs cannot be read again: {error}") from None
    _refuse_other_outputs(old, new)
    for name in ("seconds.production", "seconds.staging"):
        new.sums[name] = old.sums[name]
    new.inputs = old.inputs
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
        raise NotRelabelled(_OTHERWISE)


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
        # An output does not say whose probability it holds; the two versions may have other ideas of "positive".
        place = self._classes.index(self._positive)
        sure = np.abs(np.nan_to_num(probability, nan=0.5) - 0.5) > 0.0
        fits = (labels[sure] == self._positive) == (probability[sure] > 0.5)
        return place if 2 * np.count_nonzero(fits) >= np.count_nonzero(sure) else 1 - place


class _Cells:
    """The file's own labels, and its cells as the models took them."""

    def __init__(self, header: Sequence[str], pair: Pair, columns: Sequence[str]) -> None:
        wanted = {*columns, *([pair.label_column] if pair.label_column else [])}
        places = {raw if raw in wanted else raw.strip(): place for place, raw in enumerate(header)}
        self._label = places.get(pair.label_column) if pair.label_column else None
        self._columns: Mapping[str, tuple[int, bool]] = {
            name: (places[name], pair.columns[name]) for name in columns if name in places
        }
        self._width = len(header)

    def labels(self, rows: Rows) -> np.ndarray[Any, Any]:
        """[N] text, "" where a row has none."""
        if self._label is None:
            return _texts("" for _ in rows)
        return _texts(row[self._label] if len(row) == self._width else "" for row in rows)

    def columns(self, rows: Rows) -> dict[str, np.ndarray[Any, Any]]:
        """Column → [N] cells; those of rows that could not be scored are gaps where they mean nothing."""
        found = {}
        for name, (place, is_text) in self._columns.items():
            cells = [row[place] if len(row) == self._width else "" for row in rows]
            if is_text:
                found[name] = _texts("" if cell in GAPS else cell for cell in cells)
            else:
                found[name] = np.fromiter(map(_number, cells), dtype=np.float64, count=len(cells))
        return found


def _table(stream: BinaryIO) -> tuple[list[str], Iterator[list[str]]]:
    rows = csv_rows(stream, errors="replace")
    return next(rows, []), rows


def _batches(rows: Iterator[Any]) -> Iterator[list[Any]]:
    while batch := list(islice(rows, BATCH_ROWS)):
        yield batch


def _texts(cells: Iterator[str | None]) -> np.ndarray[Any, Any]:
    found = list(cells)
    array = np.empty(len(found), dtype=object)
    array[:] = found
    return array


def _number(cell: str) -> float:
    text = cell.strip()
    if text not in GAPS and text.isascii() and "_" not in text:
        with suppress(ValueError):
            return float(text)
    return float("nan")
