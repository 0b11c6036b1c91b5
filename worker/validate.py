"""From raw cells to what a model takes: text, numbers and gaps; a cell that is neither makes its row an error. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ledger.receipt import RowError
from models.spec import Column
from worker.read import Batch
from worker.stream import UNREADABLE

GAPS = ("", "NA", "NaN", "null", "na", "nan", "NULL", "N/A", "n/a")
_GAPS = pa.array(GAPS)
MAX_WHOLE = 2**53 - 1  # beyond it a double has not every whole number


@dataclass(frozen=True)
class Rows:
    """The n rows of a batch that could be split into cells, as a model takes them.

    `columns`: column → [n] str objects ("" for a gap) or numbers (NaN for a gap, and in the rows that have an error);
    `errors`: index into these n rows → what is wrong with the first bad cell.
    """

    columns: dict[str, np.ndarray[Any, Any]]
    errors: dict[int, RowError]


def validate(batch: Batch, columns: Sequence[Column]) -> Rows:
    """Converts the cells of each of the model's columns."""
    errors: dict[int, RowError] = {}
    converted: dict[str, np.ndarray[Any, Any]] = {}
    for column in columns:
        cells, bad = (_texts if column.is_text else _numbers)(batch.cells[column.name])
        if column.is_whole:
            bad |= _not_whole(cells, bad)
            cells = np.where(np.isfinite(cells), cells, 0.0)
        for index, message in bad.items():
            row = batch.first_row + int(batch.positions[index])
            errors.setdefault(index, RowError(message, row, column.name))
        converted[column.name] = cells
    return Rows(converted, errors)


def texts(cells: pa.Array) -> np.ndarray[Any, Any]:
    """Cells [n] as str objects; bytes that are not UTF-8 become �."""
    return _as_objects(pc.replace_substring(cells, UNREADABLE, "�"))


def _texts(cells: pa.Array) -> tuple[np.ndarray[Any, Any], dict[int, str]]:
    unreadable = np.flatnonzero(pc.match_substring(cells, UNREADABLE).to_numpy(zero_copy_only=False))
    return _as_objects(pc.if_else(pc.is_in(cells, _GAPS), "", cells)), {int(i): "is not UTF-8 text" for i in unreadable}


def _as_objects(text: pa.Array) -> np.ndarray[Any, Any]:
    """[n] str objects; equal cells of a column share one object, which is most of the cost of making them."""
    coded = text.dictionary_encode()
    if len(coded.dictionary) > len(text) // 2:
        return np.asarray(text.to_numpy(zero_copy_only=False), dtype=object)
    known = np.array([*coded.dictionary.to_pylist(), None], dtype=object)[:-1]
    return known[coded.indices.to_numpy()] if len(text) else np.empty(0, dtype=object)


def _numbers(cells: pa.Array) -> tuple[np.ndarray[Any, Any], dict[int, str]]:
    """Doubles [n]. The usual column is all numbers, or numbers and gaps: one or two calls; only else cell by cell."""
    try:
        try:
            numbers = pc.cast(cells, pa.float64())
        except pa.ArrowInvalid:
            trimmed = pc.utf8_trim_whitespace(cells)
            known = pc.if_else(pc.is_in(trimmed, _GAPS), pa.scalar(None, pa.string()), trimmed)
            numbers = pc.cast(known, pa.float64())
    except pa.ArrowInvalid:
        return _numbers_one_by_one(cells)
    array = np.array(numbers.to_numpy(zero_copy_only=False), dtype=np.float64)
    # Arrow knows more ways to write "no number" than we do; what a cell means must not depend on its column's others.
    odd = np.flatnonzero(~np.isfinite(array) & numbers.is_valid().to_numpy(zero_copy_only=False))
    array[odd], bad = _numbers_one_by_one(cells.take(pa.array(odd)))
    return array, {int(odd[i]): message for i, message in bad.items()}


def _numbers_one_by_one(cells: pa.Array) -> tuple[np.ndarray[Any, Any], dict[int, str]]:
    array = np.full(len(cells), np.nan)
    bad = {}
    for index, cell in enumerate(cells.to_pylist()):
        text = cell.strip()
        if text in GAPS:
            continue
        try:
            number = float(text) if text.isascii() and "_" not in text else np.inf
        except ValueError:
            number = np.inf
        if np.isinf(number):
            bad[index] = _not_a_number(cell)
        else:
            array[index] = number  # NaN, however it is capitalised, is a gap
    return array, bad


def _not_whole(numbers: np.ndarray[Any, Any], bad: dict[int, str]) -> dict[int, str]:
    with np.errstate(invalid="ignore"):
        broken, large = ~(np.mod(numbers, 1) == 0), np.abs(numbers) > MAX_WHOLE
    return {
        int(i): "is too large for a whole number" if large[i] else "is not a whole number; this model takes no gap here"
        for i in np.flatnonzero(broken | large)
        if int(i) not in bad
    }


def _not_a_number(cell: str) -> str:
    shown = cell.replace(UNREADABLE, "�")
    return f"is not a number: {shown[:40]!r}{'…' if len(shown) > 40 else ''}"
