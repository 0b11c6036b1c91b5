"""Many worlds at a time, as columns of numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

Column = np.ndarray[Any, Any]


class Worlds(NamedTuple):
    """Many worlds, a column for each part of them; a world is all there is.

    That is the bucket (an id), each delivery's answers (an id; DONE, DEAD), and what may still happen. The first two
    are deliveries of one message, and sorted: which of them is which makes no difference. `acked` has a bit per
    message.
    """

    bucket: Column
    first: Column
    second: Column
    third: Column
    acked: Column
    replaced: Column
    swapped: Column
    crashes: Column

    def packed(self) -> Column:
        """A number for each world."""
        first, second = np.minimum(self.first, self.second), np.maximum(self.first, self.second)
        packed = np.zeros_like(self.bucket)
        for bits, column in zip(BITS, self._replace(first=first, second=second), strict=True):
            packed = (packed << bits) | column
        return packed

    @classmethod
    def unpacked(cls, packed: Column) -> Worlds:
        columns = []
        for bits in reversed(BITS):
            columns.append(packed & ((1 << bits) - 1))
            packed = packed >> bits
        return cls(*reversed(columns))

    def where(self, chosen: Column) -> Worlds:
        return Worlds(*(column[chosen] for column in self))


BITS = Worlds(bucket=14, first=14, second=14, third=14, acked=2, replaced=1, swapped=1, crashes=2)
DONE, DEAD = 0, 1  # among the ids of lists of answers


def each(ask: Callable[..., Any], *columns: Column, gives: int = 1) -> Column:
    """What `ask` gives for each row of the columns, as a column for each of its values; asked once for equal rows."""
    key = columns[0]
    for column in columns[1:]:
        key = key << BITS.bucket | column
    _, first, where = np.unique(key, return_index=True, return_inverse=True)
    rows = zip(*(column[first].tolist() for column in columns), strict=True)
    answers = np.array([ask(*row) for row in rows], np.int64).reshape(-1, gives)
    return answers[where].T
