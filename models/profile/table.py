"""Reading a CSV file as text, as it stands: what its cells are is decided later, column by column."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

GAPS = ("", "NA", "NaN", "nan", "null", "NULL", "None")


class UnreadableTable(Exception):
    """The file is no table that can be profiled; the text says why."""


def read_table(path: Path) -> pd.DataFrame:
    """Every column of a CSV file (also `.gz`) as text, gaps as NaN. Raises UnreadableTable."""
    try:
        table = pd.read_csv(
            path,
            dtype=str,
            encoding="utf-8-sig",
            keep_default_na=False,
            na_values=list(GAPS),
            skipinitialspace=True,
            low_memory=False,
        )
    except FileNotFoundError:
        raise UnreadableTable(f"{path}: there is no such file") from None
    except UnicodeDecodeError as error:
        raise UnreadableTable(f"{path} is not UTF-8 text ({error.reason} at byte {error.start})") from None
    except pd.errors.EmptyDataError:
        raise UnreadableTable(f"{path} is empty: a header line and rows are needed") from None
    except (pd.errors.ParserError, OSError, EOFError, ValueError) as error:
        raise UnreadableTable(f"{path} cannot be read as CSV: {str(error).strip()}") from None
    if table.empty:
        raise UnreadableTable(f"{path} has a header and no rows")
    return table
