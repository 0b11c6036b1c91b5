"""From the cells of one column to what a model takes of it, the same for training and serving. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from models.registry.spec import Column
from models.scoring.table.cells import Bad, Converted, flag_cells, not_whole, number_columns, text_cells
from models.scoring.table.coded import encoded
from models.scoring.table.faults import Fault, RowFault


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
