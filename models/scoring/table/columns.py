"""From raw cells to what a model takes, the same for training and serving: text, numbers and gaps. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from models.registry.spec import Column
from models.scoring.table.cells import (
    Bad,
    Coded,
    Converted,
    encoded,
    flag_cells,
    not_whole,
    number_columns,
    text_cells,
)
from models.scoring.table.faults import Fault, RowFault
from models.scoring.table.read import Batch


def converted(cells: pa.Array, column: Column, *, decimal_comma: bool = False) -> Converted:
    """The cells as `column` takes them. Where it takes no gaps, one is bad as well."""
    return converted_all({column.name: cells}, [column], decimal_comma=decimal_comma)[column.name]


def converted_all(
    cells: Mapping[str, pa.Array], columns: Sequence[Column], *, decimal_comma: bool = False
) -> dict[str, Converted]:
    """The same for each of the columns, by its name."""
    coded = {column.name: encoded(cells[column.name]) for column in columns if not column.is_text}
    plain = [column.name for column in columns if not column.is_text and not column.is_flag]
    texts = [coded[name][0] for name in plain]
    numbers = dict(zip(plain, number_columns(texts, decimal_comma=decimal_comma), strict=True)) if plain else {}
    found = {}
    for column in columns:
        if column.is_text:
            text = text_cells(cells[column.name], column.known)
            refused = _refused(text.gaps, column)
            found[column.name] = replace(text, bad=text.bad | refused) if refused else text
            continue
        distinct, codes = coded[column.name]
        if column.is_flag:
            values, bad = flag_cells(distinct, strict=column.is_boolean, decimal_comma=decimal_comma)
        else:
            values, bad = numbers[column.name]
        gaps = np.isnan(values)
        gaps[list(bad)] = False
        bad |= not_whole(values, bad) if column.is_whole else _refused(gaps, column)
        found[column.name] = Converted.of(codes, values, gaps, bad)
    return found


def _refused(gaps: np.ndarray[Any, Any], column: Column) -> Bad:
    if column.takes_gaps:
        return {}
    return dict.fromkeys(
        map(int, np.flatnonzero(gaps)), Fault(RowFault.CELL, "is a gap, which this model does not take here")
    )


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
