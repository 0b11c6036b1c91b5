"""How many rows a graph is given at once: as many as pays, as long as each row's answer has the same bits.

Sums of a matrix product or of trees may depend on the batch's shape in their last bit, and a row's answer must not. So
a graph gets blocks of fixed sizes only, all of them filled. Large ones are quicker, for a forest's trees stay in the
processor's cache for more rows; small ones waste less on a short file.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from models.registry.spec import Column

Columns = Mapping[str, np.ndarray[Any, Any]]
Bits = tuple[list[str], bytes]

BLOCK_ROWS = 256  # the size that every version is run in; others have to give the same bits
LARGER = tuple(BLOCK_ROWS << step for step in range(1, 5))  # above 4,096 some converted estimators have other last bits
SMALLER = (128, 64)
TRIED_ROWS = LARGER[-1]
TRIED_ROWS_SMALLER = 1024  # as many in small blocks cost as much as all the larger ones together
TRIED_FOR_SECONDS = 2.0


def next_block(rows: int, sizes: tuple[int, ...]) -> int:
    """Of the rising `sizes` the one for the next block where `rows` are left.

    The smallest that holds them all; where more than a quarter of that would be filling, the next smaller one.
    """
    return next((size for size in reversed(sizes) if 4 * rows >= 3 * size), sizes[0])


def filled(cells: np.ndarray[Any, Any], rows: int) -> np.ndarray[Any, Any]:
    """An array [N] made [rows] with its own last cell, N from 1 to `rows`."""
    missing = rows - len(cells)
    return cells if missing == 0 else np.concatenate([cells, np.repeat(cells[-1:], missing)])


def trial_rows(example: Columns, columns: tuple[Column, ...]) -> dict[str, np.ndarray[Any, Any]]:
    """TRIED_ROWS rows mixed from an example's cells, column by column; every other number that may be any is moved."""
    choose, rows = np.random.default_rng(0), TRIED_ROWS
    mixed = {column.name: choose.choice(np.asarray(example[column.name]), rows) for column in columns}
    for column in columns:
        if not (column.is_text or column.is_whole or column.is_flag):
            mixed[column.name][::2] *= choose.uniform(0.5, 1.5, rows // 2)
    return mixed


def equal_sizes(answer: Callable[[Columns], Bits], rows: Columns, seconds_each: float) -> tuple[int, ...]:
    """The sizes, rising, whose blocks give each row of `rows` the same bits as blocks of BLOCK_ROWS do.

    Of the larger sizes those up to the first that does not, and so of the smaller ones. `answer`: labels of one block,
    and the bytes of its probabilities; `rows`: TRIED_ROWS of them; `seconds_each`: how long a block of BLOCK_ROWS
    takes, about. Where the next size would take the trial beyond TRIED_FOR_SECONDS, or the graph takes no such rows,
    the sizes found until then are enough.
    """
    usual = _Usual(answer, rows)
    started = time.monotonic() - seconds_each
    found = [BLOCK_ROWS]
    for sizes in (LARGER, SMALLER):
        for size in sizes:
            spent = time.monotonic() - started
            if 2 * spent > TRIED_FOR_SECONDS or not usual.same_bits(size):  # the next takes about as long as all before
                break
            found.append(size)
    return tuple(sorted(found))


class _Usual:
    """What rows are answered in blocks of BLOCK_ROWS, as far as that was asked for."""

    def __init__(self, answer: Callable[[Columns], Bits], rows: Columns) -> None:
        self._answer, self._rows = answer, rows
        self._labels, self._probabilities = list[str](), b""

    def same_bits(self, size: int) -> bool:
        """Whether blocks of `size` rows give the same; False as well where the graph does not take them."""
        count = max(size, TRIED_ROWS_SMALLER)
        try:
            labels, probabilities = self._in_blocks(BLOCK_ROWS, len(self._labels), count)
            self._labels, self._probabilities = self._labels + labels, self._probabilities + probabilities
            width = len(self._probabilities) // len(self._labels)
            return self._in_blocks(size, 0, count) == (self._labels[:count], self._probabilities[: count * width])
        except Exception:  # noqa: BLE001 - onnxruntime raises many kinds; the graph scores its example all the same
            return False

    def _in_blocks(self, size: int, start: int, stop: int) -> Bits:
        labels, probabilities = list[str](), b""
        for first in range(start, stop, size):
            more = self._answer({name: cells[first : first + size] for name, cells in self._rows.items()})
            labels, probabilities = labels + more[0], probabilities + more[1]
        return labels, probabilities
