"""From raw cells to what a model takes: text, numbers and gaps; a cell that is neither makes its row an error. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from models.registry.spec import Column
from models.scoring.table.coded import Coded
from models.scoring.table.columns import converted_all
from models.scoring.table.faults import Fault, RowFault
from models.scoring.table.read import Batch


@dataclass(frozen=True)
class Rows:
    """The n rows of a batch that could be split into cells, as a model takes them.

    `coded`: column → str objects ("" for a gap) or numbers (NaN for a gap, and in the rows that have an error);
    `faults`: index into these n rows → what is wrong with the first bad cell; `unknown`: column of text → [n] True
    where the model was never shown that text, for the columns of which it is known what it was shown, and `gaps` [n]
    of them.
    """

    coded: dict[str, Coded]
    faults: dict[int, Fault]
    unknown: dict[str, np.ndarray[Any, Any]] = field(default_factory=dict)
    gaps: dict[str, np.ndarray[Any, Any]] = field(default_factory=dict)

    @property
    def columns(self) -> dict[str, np.ndarray[Any, Any]]:
        """Column → [n] cells."""
        return {name: coded.cells for name, coded in self.coded.items()}


def validate(batch: Batch, columns: Sequence[Column], *, decimal_comma: bool = False) -> Rows:
    """Converts the cells of each of the model's columns."""
    rows = Rows({}, {})
    empty = np.ones(len(batch.positions), dtype=bool)
    meant = converted_all(batch.cells, columns, decimal_comma=decimal_comma)
    for column in columns:
        found = meant[column.name]
        empty &= found.gaps
        for index, fault in found.bad.items():
            rows.faults.setdefault(index, fault._replace(column=column.name))
        if found.unknown is not None:
            rows.unknown[column.name], rows.gaps[column.name] = found.unknown, found.gaps
        rows.coded[column.name] = found.coded
        if column.is_whole:  # the rows with an error have a number all the same
            numbers = found.coded.distinct
            rows.coded[column.name] = Coded(np.where(np.isfinite(numbers), numbers, 0.0), found.coded.codes)
    nothing = Fault(RowFault.EMPTY, "holds nothing: each column that the model takes is a gap")
    rows.faults.update((int(index), nothing) for index in np.flatnonzero(empty))
    return rows
