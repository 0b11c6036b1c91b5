"""Reading a file as text: what its cells are is decided later, column by column."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from models.scoring.table.cells import text_cells
from models.scoring.table.faults import Fault, Unreadable
from models.scoring.table.opened import open_table
from models.scoring.table.read import Batch


class UnreadableTable(Exception):
    """The file is no table that can be profiled; the text says why."""


def read_table(path: Path, tell: Callable[[str], None] = lambda said: None) -> pd.DataFrame:
    """Every column of a CSV (also `.gz`) or Parquet file as text, gaps as None; rows that are none of its are left out.

    `tell`: is given one sentence where rows were left out. Raises UnreadableTable.
    """
    parts: list[pd.DataFrame] = []
    rows, left_out, first = 0, 0, ""
    try:
        with path.open("rb") as stream:
            for batch in open_table(stream, path.name, None, all_columns=True).batches():
                part, faults = _split(batch)
                parts.append(part)
                if faults and not first:
                    at = min(faults)
                    first = _named(batch.first_row + at, faults[at])
                rows, left_out = rows + batch.rows, left_out + len(faults)
    except FileNotFoundError:
        raise UnreadableTable(f"{path}: there is no such file") from None
    except (Unreadable, OSError) as error:
        raise UnreadableTable(f"{path} cannot be read: {error}") from None
    if not rows:
        raise UnreadableTable(f"{path} has a header and no rows")
    if left_out == rows:
        raise UnreadableTable(f"{path}: none of its {rows:,} rows can be read; the first, {first}")
    if left_out:
        tell(f"{path.name}: {left_out:,} of {rows:,} rows are left out; the first, {first}")
    return pd.concat(parts, ignore_index=True)


def _split(batch: Batch) -> tuple[pd.DataFrame, dict[int, Fault]]:
    """The rows that can be read, and what is wrong with the others by their place in the batch."""
    columns = {name: text_cells(cells) for name, cells in batch.cells.items()}
    faults = {
        int(batch.positions[index]): fault._replace(column=name)
        for name, column in columns.items()
        for index, fault in column.bad.items()
    } | batch.faults
    sound = [position not in faults for position in batch.positions.tolist()]
    part = pd.DataFrame({name: column.values for name, column in columns.items()}, dtype=object)[sound]
    return part.where(part != "", None), faults


def _named(row: int, fault: Fault) -> str:
    return f"row {row}{f', column {fault.column!r}' if fault.column else ''} {fault.message}"
