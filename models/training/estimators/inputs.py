"""What a graph takes for each column of a table: text or numbers, and which numbers are true and false."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd
from skl2onnx.common.data_types import StringTensorType
from sklearn.compose import ColumnTransformer

from models.onnx.conversion.convert import Inputs
from models.training.register import RegistrationRefused


def is_boolean(cells: pd.Series[Any]) -> bool:
    """Whether a column holds true and false alone, gaps aside."""
    present = cells.dropna()
    return len(present) > 0 and all(isinstance(cell, bool | np.bool_) for cell in present)


def is_zero_one(cells: pd.Series[Any]) -> bool:
    """Whether a column of numbers holds 0 and 1 alone, gaps aside."""
    return _is_numeric(cells) and set(cells.dropna().unique()) <= {0, 1}


def graph_inputs(estimator: Any, rows: pd.DataFrame, number: type, booleans: Collection[str]) -> Inputs:
    """The inputs to convert a fitted estimator for; `number`: skl2onnx's type of a column of numbers.

    True and false are texts to an encoder, and numbers to everything else. Raises RegistrationRefused where text and
    numbers would have to share one matrix.
    """
    first = estimator.steps[0][1] if hasattr(estimator, "steps") else estimator
    encoded = _encoded(first) if isinstance(first, ColumnTransformer) else set()
    kinds = {
        str(name): number if _is_numeric(rows[name]) or (name in booleans and name not in encoded) else StringTensorType
        for name in rows
    }
    if isinstance(first, ColumnTransformer):  # picks its columns by name
        return [(name, kind([None, 1])) for name, kind in kinds.items()]
    if len(set(kinds.values())) > 1:
        texts = [name for name, kind in kinds.items() if kind is StringTensorType]
        raise RegistrationRefused(
            f"text and number columns together need a ColumnTransformer as the pipeline's first step, so that the "
            f"graph knows which is which (text: {', '.join(map(repr, texts))})"
        )
    return [("rows", next(iter(kinds.values()))([None, len(kinds)]))]


def _encoded(first: ColumnTransformer) -> set[str]:
    """The columns whose categories a step learns."""
    names = list(map(str, first.feature_names_in_)) if hasattr(first, "feature_names_in_") else []
    found = set()
    for label, step, _ in first.transformers_:
        steps = [one for _, one in step.steps] if hasattr(step, "steps") else [step]
        if any(hasattr(one, "categories_") for one in steps):
            found |= {names[at] for at in first._transformer_to_input_indices[label] if at < len(names)}
    return found


def _is_numeric(cells: pd.Series[Any]) -> bool:
    return bool(np.issubdtype(np.asarray(cells).dtype, np.number))
