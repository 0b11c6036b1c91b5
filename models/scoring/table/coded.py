"""A column's cells as the distinct ones among them, and which of those each is: what cells mean is asked once for each.

Arrow reads a column so at once, at about the cost of its texts one by one, even where all of them differ.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

CODED = pa.dictionary(pa.int32(), pa.string())

Codes = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Coded:
    """N cells: `distinct` [D] str objects or float64, and `codes` [N], which of them each cell is.

    The same cell may stand under two codes, and a code may be no cell's.
    """

    distinct: npt.NDArray[Any]
    codes: Codes

    @classmethod
    def of(cls, cells: npt.NDArray[Any] | Coded) -> Coded:
        """The cells of an array [N]; of those that are coded already, these."""
        if isinstance(cells, Coded):
            return cells
        if cells.dtype != object:
            numbers, places = np.unique(cells, return_inverse=True)
            return cls(numbers, places.astype(np.int32))
        known: dict[Any, int] = {}
        codes = np.fromiter((known.setdefault(cell, len(known)) for cell in cells), np.int32, len(cells))
        return cls(np.array([*known, None], dtype=object)[:-1], codes)

    def __len__(self) -> int:
        return len(self.codes)

    @cached_property
    def cells(self) -> npt.NDArray[Any]:
        """[N]"""
        return self.distinct[self.codes]

    def spread(self, places: npt.NDArray[Any], count: int) -> Coded:
        """The cells at their `places` among `count`, and gaps at the others."""
        gap = np.array(["" if self.distinct.dtype == object else np.nan], dtype=self.distinct.dtype)
        codes = np.full(count, len(self.distinct), dtype=np.int32)
        codes[places] = self.codes
        return Coded(np.concatenate([self.distinct, gap]), codes)


def encoded(cells: pa.Array) -> tuple[pa.Array, Codes]:
    """A string array's distinct texts [D], and the code of each cell [N]; `cells` may be of type CODED already."""
    coded = cells if pa.types.is_dictionary(cells.type) else cells.dictionary_encode()
    return coded.dictionary, coded.indices.to_numpy()


def strings(cells: pa.Array) -> pa.Array:
    """A string array or one of type CODED as a string array."""
    return cells.cast(pa.string()) if pa.types.is_dictionary(cells.type) else cells


def each(cells: pa.Array, question: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """[N] what `question` says of each cell; of those of type CODED it is asked of the distinct ones."""
    if not pa.types.is_dictionary(cells.type):
        return question(cells)
    return question(cells.dictionary).take(cells.indices)
