"""Rows of a CSV file for training or checking, read as a worker reads them; a mistake is named by row and column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from models.registry.spec import Column
from models.scoring.table.cells import text_cells
from models.scoring.table.columns import converted
from models.scoring.table.faults import Fault, Unreadable
from models.scoring.table.opened import open_table
from models.scoring.table.read import ReadAgain


class BadRows(Exception):
    """The file cannot be used; the text says where it is wrong."""


def read_rows(path: Path, types: Mapping[str, str], also: Sequence[str] = ()) -> pd.DataFrame:
    """The columns of `types` (column → its type in a signature) of the CSV at `path`, in that order, others left out.

    Text as str with "" for a gap; numbers as float64 with NaN for one. `also`: columns to add as text where the file
    has them. Raises BadRows.
    """
    if not path.is_file():
        raise BadRows(f"{path} does not exist")
    try:
        try:
            return _read(path, types, also, all_columns=False)
        except ReadAgain:
            return _read(path, types, also, all_columns=True)
    except (Unreadable, OSError) as error:
        raise BadRows(f"{path}: {error}") from None


def header_of(path: Path) -> tuple[str, ...]:
    """The columns of the CSV at `path`, in their order. Raises BadRows."""
    try:
        with path.open("rb") as stream:
            return tuple(open_table(stream, path.name, None).columns)
    except (Unreadable, OSError) as error:
        raise BadRows(f"{path}: {error}") from None


def _read(path: Path, types: Mapping[str, str], also: Sequence[str], *, all_columns: bool) -> pd.DataFrame:
    columns = [_column(name, kind) for name, kind in types.items()]
    parts: dict[str, list[np.ndarray[Any, Any]]] = {}
    with path.open("rb") as stream:
        table = open_table(stream, path.name, list(types), also, all_columns=all_columns)
        for batch in table.batches():
            for position in sorted(batch.faults)[:1]:
                raise _bad(path, batch.first_row + position, batch.faults[position])
            for column in columns:
                found = converted(batch.cells[column.name], column, decimal_comma=table.decimal_comma)
                for index in sorted(found.bad)[:1]:
                    raise _bad(path, batch.first_row + index, found.bad[index]._replace(column=column.name))
                parts.setdefault(column.name, []).append(found.values)
            for name in also:
                if name in table.columns:
                    parts.setdefault(name, []).append(text_cells(batch.cells[name]).values)
    if not parts:
        raise BadRows(f"{path} has a header and no rows")
    return pd.DataFrame({name: np.concatenate(part) for name, part in parts.items()})


def _column(name: str, kind: str) -> Column:
    is_boolean = kind == "boolean"
    return Column(name, kind == "string", is_whole=kind == "long", is_flag=is_boolean, is_boolean=is_boolean)


def _bad(path: Path, row: int, fault: Fault) -> BadRows:
    where = f", column {fault.column!r}" if fault.column else ""
    return BadRows(f"{path}, row {row}{where} {fault.message}")
