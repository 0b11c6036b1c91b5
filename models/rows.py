"""Rows out of a CSV file for training or checking, read so that a mistake is named by file, row and column."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

GAPS = ("", "NA", "NaN", "null", "na", "nan", "NULL", "N/A", "n/a")  # what a worker takes for one


class BadRows(Exception):
    """The file cannot be used; the text says where it is wrong."""


def read_table(path: Path) -> pd.DataFrame:
    """Every cell of the CSV at `path` (.gz too) as the text that it is. Raises BadRows."""
    if not path.is_file():
        raise BadRows(f"{path} does not exist")
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (ValueError, OSError) as error:  # pandas' own errors are ValueErrors, and so is a wrong encoding
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise BadRows(f"{path} is no CSV that can be read: {first}") from None
    if table.empty:
        raise BadRows(f"{path} has a header and no rows")
    return table


def typed_columns(table: pd.DataFrame, types: Mapping[str, str], path: Path) -> pd.DataFrame:
    """The columns of `types` (column → `string`, or a number's type) in its order, others left out.

    Text as str with "" for a gap; numbers as float64 with NaN for one. Raises BadRows.
    """
    missing = [name for name in types if name not in table.columns]
    if missing:
        raise BadRows(f"{path} lacks the columns {', '.join(missing)}; it has {', '.join(table.columns[:40])}")
    columns: dict[str, Any] = {}
    for name, kind in types.items():
        cells = table[name]
        gap = cells.str.strip().isin(GAPS).to_numpy(bool)
        if kind == "string":
            columns[name] = np.where(gap, "", cells.to_numpy(object))
            continue
        numbers = pd.to_numeric(cells.mask(gap), errors="coerce").to_numpy(np.float64)
        wrong = np.flatnonzero((~gap | (kind == "long")) & ~np.isfinite(numbers))
        if wrong.size:
            row = int(wrong[0])
            raise BadRows(
                f"{path}, row {row + 1}, column {name!r}: {str(cells.iloc[row])[:80]!r} is no number "
                f"({wrong.size} such cells in this column)"
            )
        columns[name] = numbers
    return pd.DataFrame(columns)
