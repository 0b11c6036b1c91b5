"""What a graph takes for each column of a table: text or numbers, and which numbers are true and false."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype
from skl2onnx.common.data_types import StringTensorType
from sklearn.compose import ColumnTransformer

from models.onnx.conversion.compose import first_steps
from models.onnx.conversion.convert import Inputs


def is_boolean(cells: pd.Series[Any]) -> bool:
    """Whether a column holds true and false alone, gaps aside."""
    present = cells.dropna()
    return len(present) > 0 and all(isinstance(cell, bool | np.bool_) for cell in present)


def is_zero_one(cells: pd.Series[Any]) -> bool:
    """Whether a column of numbers holds 0 and 1 alone, gaps aside."""
    return is_numeric(cells) and set(cells.dropna().unique()) <= {0, 1}


def column_names(estimator: Any, rows: pd.DataFrame) -> list[str]:
    """The columns that a fitted estimator takes, in its order: those that it was fitted on, or all of `rows`.

    Without those that it drops where `rows` has them not.

    LightGBM remembers its columns with `_` for a blank.
    """
    names = list(map(str, getattr(estimator, "feature_names_in_", rows.columns)))
    blanks = {str(name).replace(" ", "_"): str(name) for name in rows.columns}
    names = [name if name in rows.columns else blanks.get(name, name) for name in names]
    unused = set.intersection(*(_dropped(first) for first in first_steps(estimator)))
    return [name for name in names if name in rows.columns or name not in unused]


def _dropped(first: Any) -> set[str]:
    """The columns that a first step was fitted on and leaves out."""
    if not isinstance(first, ColumnTransformer) or not hasattr(first, "feature_names_in_"):
        return set()
    kept = {at for label, step, _ in first.transformers_ if step != "drop" for at in _places(first, label)}
    return {str(name) for at, name in enumerate(first.feature_names_in_) if at not in kept}


def _places(first: ColumnTransformer, label: str) -> list[int]:
    return list(first._transformer_to_input_indices[label])


def graph_inputs(estimator: Any, rows: pd.DataFrame, number: type, booleans: Collection[str]) -> Inputs:
    """The inputs to convert a fitted estimator for, one for each column; `number`: skl2onnx's type of numbers.

    True and false are texts where every step that takes the column encodes it, and numbers everywhere else.
    """
    uses = [_encoded(first, rows) for first in first_steps(estimator)]
    words = {name for name in booleans if (found := [use[name] for use in uses if name in use]) and all(found)}
    flags = set(booleans) - words
    texts = {str(name) for name in rows if not is_numeric(rows[name])} - flags
    return [(str(name), (StringTensorType if name in texts else number)([None, 1])) for name in rows]


def _encoded(first: Any, rows: pd.DataFrame) -> dict[str, bool]:
    """The columns that a first step takes, and whether it learns the categories of each."""
    if not isinstance(first, ColumnTransformer):
        return dict.fromkeys(map(str, rows), hasattr(first, "categories_"))
    names = list(map(str, getattr(first, "feature_names_in_", rows.columns)))
    found: dict[str, bool] = {}
    for label, step, _ in first.transformers_:
        steps = [one for _, one in step.steps] if hasattr(step, "steps") else [step]
        learns = any(hasattr(one, "categories_") for one in steps)
        for at in _places(first, label) if step != "drop" else ():
            found[names[at]] = learns and found.get(names[at], True)
    return found


def is_numeric(cells: pd.Series[Any]) -> bool:
    """Whether a column holds numbers, of any type of numpy's or pandas' and as categories too; not true and false."""
    kind = cells.cat.categories.dtype if isinstance(cells.dtype, pd.CategoricalDtype) else cells.dtype
    return bool(is_numeric_dtype(kind) and not is_bool_dtype(kind))
