"""How many rows a graph is given at once: as many as pays, as long as each row's answer has the same bits.

Sums of a matrix product or of trees may depend on the batch's shape in their last bit, and a row's answer must not. So
a graph gets blocks of fixed sizes only, all of them filled. Large ones are quicker: a forest's trees stay in the
processor's cache for more rows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from models.spec import Column

Columns = Mapping[str, np.ndarray[Any, Any]]
Bits = tuple[list[str], bytes]

BLOCK_ROWS = 256
LADDER = tuple(BLOCK_ROWS << step for step in range(5))  # above 4,096 some converted estimators have other last bits
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
    """LADDER[-1] rows mixed from an example's cells, column by column; every other number that may be any is moved."""
    choose, rows = np.random.default_rng(0), LADDER[-1]
    mixed = {column.name: choose.choice(np.asarray(example[column.name]), rows) for column in columns}
    for column in columns:
        if not (column.is_text or column.is_whole or column.is_flag):
            mixed[column.name][::2] *= choose.uniform(0.5, 1.5, rows // 2)
    return mixed


def equal_sizes(answer: Callable[[Columns], Bits], rows: Columns, seconds_each: float) -> tuple[int, ...]:
    """The sizes of LADDER, up to the first that gives some row of `rows` other bits than blocks of BLOCK_ROWS do.

    `answer`: labels of one block, and the bytes of its probabilities; `rows`: LADDER[-1] of them; `seconds_each`: how
    long a block of BLOCK_ROWS takes, about. Where the next size would take the trial beyond TRIED_FOR_SECONDS, or the
    graph takes no such rows, the sizes found until then are enough.
    """
    sizes, labels, probabilities = LADDER[:1], list[str](), b""
    started = time.monotonic() - seconds_each
    for size in LADDER[1:]:
        if 2 * (time.monotonic() - started) > TRIED_FOR_SECONDS:  # a size takes about as long as all before it
            break
        try:
            for start in range(len(labels), size, BLOCK_ROWS):
                more = answer(_rows(rows, start, start + BLOCK_ROWS))
                labels, probabilities = labels + more[0], probabilities + more[1]
            if answer(_rows(rows, 0, size)) != (labels, probabilities):
                break
        except Exception:  # noqa: BLE001 - onnxruntime raises many kinds; the graph scores its example all the same
            break
        sizes = (*sizes, size)
    return sizes


def _rows(columns: Columns, start: int, stop: int) -> Columns:
    return {name: cells[start:stop] for name, cells in columns.items()}
