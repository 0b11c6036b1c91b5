"""The raw rows that graph and original are compared on: a CSV file, or what was logged beside the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from models.training.adoption.source import Logged
from models.training.register import RegistrationRefused
from models.training.rows import header_of, read_rows

_TYPES = {"string": "string", "double": "double", "float": "double", "long": "double", "integer": "double"}
_TRUTH = {"true": True, "false": False}


def example_rows(
    logged: Logged, estimator: Any, file: Path | None, columns: Sequence[str] | None, *, is_raw: bool
) -> pd.DataFrame:
    """Raw rows of the columns that the estimator takes; a gap is NaN, as pandas reads it.

    `columns`: their names in order, None where the estimator or its signature says them. `is_raw`: False where the
    logged example has been through a preprocessing that stands before the estimator now. Raises RegistrationRefused,
    BadRows.
    """
    if file is None:
        return _logged_rows(logged, estimator, columns, is_raw=is_raw)
    names = columns or _names(logged, estimator, is_raw=is_raw)
    known = _types(logged) if is_raw else {}
    if not names:
        names = [str(name) for name in header_of(file)]
        wanted = getattr(estimator, "n_features_in_", len(names))
        if len(names) != wanted:
            raise RegistrationRefused(
                f"the model takes {wanted} columns and does not know their names, and {file} has {len(names)}: name "
                f"those that it takes, in its order, with --input-columns"
            )
    rows = read_rows(file, {name: known.get(name, "string") for name in names})
    return pd.DataFrame(
        {name: rows[name] if name in known else _as_pandas_reads(rows[name]) for name in names}
    ).replace("", np.nan)


def _logged_rows(logged: Logged, estimator: Any, columns: Sequence[str] | None, *, is_raw: bool) -> pd.DataFrame:
    if not is_raw:
        raise RegistrationRefused(
            "the model was logged with rows behind its preprocessing: give raw ones, --example FILE.csv"
        )
    example = logged.description.load_input_example(str(logged.folder))
    if example is None:
        raise RegistrationRefused(
            f"{logged.reference} was logged without an input_example: give raw rows, --example FILE.csv"
        )
    if isinstance(example, pd.DataFrame):
        rows = example.rename(columns=str) if columns is None else example.set_axis(list(columns), axis=1)
        return rows.where(rows.notna(), np.nan)  # JSON has null for a gap
    matrix = np.asarray(example)
    names = columns or _names(logged, estimator, is_raw=True)
    if matrix.ndim != 2 or not names or len(names) != matrix.shape[1]:
        raise RegistrationRefused(
            f"{logged.reference} was logged on a matrix {matrix.shape}, whose columns have no names: name them in "
            f"order, --input-columns A,B,…"
        )
    return pd.DataFrame(matrix, columns=list(names))


def _names(logged: Logged, estimator: Any, *, is_raw: bool) -> list[str]:
    """The columns as its signature says, or as the estimator knows them."""
    if is_raw and (said := list(_types(logged))):
        return said
    known = getattr(estimator, "feature_names_in_", None)
    if known is None:
        known = getattr(estimator, "feature_names_", None)  # CatBoost's
    return [] if known is None else [str(name) for name in known]


def _types(logged: Logged) -> Mapping[str, str]:
    """Column → its type for `read_rows`, as far as the signature names columns of such types."""
    signature = logged.description.signature
    columns = [] if signature is None or signature.inputs is None else signature.inputs.inputs
    return {
        str(column.name): _TYPES[column.type.name]
        for column in columns
        if getattr(column, "name", None) and column.type.name in _TYPES
    }


def _as_pandas_reads(cells: pd.Series[Any]) -> pd.Series[Any]:
    """Texts as numbers where all are, and as true and false where all are; others as they stand."""
    present = cells[cells != ""]
    if len(present) and set(present.str.lower()) <= set(_TRUTH):
        return cells.str.lower().map(_TRUTH)
    try:
        return pd.to_numeric(cells.replace("", np.nan)).astype(np.float64)
    except (ValueError, TypeError):
        return cells
