"""Reading a CSV file as text: what its cells are is decided later, column by column."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from models.table.cells import text_cells
from models.table.faults import Unreadable
from models.table.read import Table


class UnreadableTable(Exception):
    """The file is no table that can be profiled; the text says why."""


def read_table(path: Path) -> pd.DataFrame:
    """Every column of a CSV file (also `.gz`) as text, gaps as None; rows that are none of the table's are left out.

    Raises UnreadableTable.
    """
    parts: list[pd.DataFrame] = []
    try:
        with path.open("rb") as stream:
            table = Table(stream, None, all_columns=True)
            for batch in table.batches():
                cells = {name: text_cells(column).texts for name, column in batch.cells.items()}
                sound = [position not in batch.faults for position in batch.positions.tolist()]
                part = pd.DataFrame(cells, dtype=object)[sound]
                parts.append(part.where(part != "", None))
    except FileNotFoundError:
        raise UnreadableTable(f"{path}: there is no such file") from None
    except (Unreadable, OSError) as error:
        raise UnreadableTable(f"{path} cannot be read as CSV: {error}") from None
    if not any(len(part) for part in parts):
        raise UnreadableTable(f"{path} has a header and no rows")
    return pd.concat(parts, ignore_index=True)
