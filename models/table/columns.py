"""From the cells of one column to what a model takes of it, the same for training and serving. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from models.spec import Column
from models.table.cells import Bad, flag_cells, not_whole, number_cells, text_cells
from models.table.faults import Fault, RowFault


@dataclass(frozen=True)
class Converted:
    """A column's n cells.

    `values`: [n] str objects ("" for a gap) or float64 (NaN for a gap); `gaps`: [n] True where a cell holds nothing;
    `bad`: index → why a cell means nothing; `unknown`: [n] True where the model was never shown that text, None where
    that is not known.
    """

    values: np.ndarray[Any, Any]
    gaps: np.ndarray[Any, Any]
    bad: Bad
    unknown: np.ndarray[Any, Any] | None = None


def converted(cells: pa.Array, column: Column, *, decimal_comma: bool = False) -> Converted:
    """The cells as `column` takes them. Where it takes no gaps, one is bad as well."""
    if column.is_text:
        text = text_cells(cells, column.known)
        return Converted(text.texts, text.gaps, text.bad | _refused(text.gaps, column), text.unknown)
    if column.is_flag:
        numbers, bad = flag_cells(cells, strict=column.is_boolean, decimal_comma=decimal_comma)
    else:
        numbers, bad = number_cells(cells, decimal_comma=decimal_comma)
    gaps = _without(np.isnan(numbers), bad)
    bad |= not_whole(numbers, bad) if column.is_whole else _refused(gaps, column)
    return Converted(numbers, gaps, bad)


def _refused(gaps: np.ndarray[Any, Any], column: Column) -> Bad:
    if column.takes_gaps:
        return {}
    return dict.fromkeys(
        map(int, np.flatnonzero(gaps)), Fault(RowFault.CELL, "is a gap, which this model does not take here")
    )


def _without(mask: np.ndarray[Any, Any], bad: Bad) -> np.ndarray[Any, Any]:
    mask[list(bad)] = False
    return mask
