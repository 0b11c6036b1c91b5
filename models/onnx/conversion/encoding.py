"""Encoders that were shown gaps in text: to them that is a category of its own, and in a file an empty text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from skl2onnx.common.data_types import StringTensorType

from models.onnx.conversion.converters import Converter, Replacements
from models.scoring.table.gaps import trimmed


def _with_gaps(theirs: Converter) -> Converter:
    def convert(scope: Any, operator: Any, container: Any) -> None:
        encoder = operator.raw_operator
        learned = encoder.categories_
        _refuse_blanks(learned)
        if all(isinstance(given.type, StringTensorType) for given in operator.inputs):
            encoder.categories_ = [_named(categories) for categories in learned]
        try:
            theirs(scope, operator, container)
        finally:
            encoder.categories_ = learned

    return convert


def _refuse_blanks(learned: Sequence[np.ndarray[Any, Any]]) -> None:
    for categories in learned:
        for text in categories:
            if isinstance(text, str) and trimmed(text) != text:
                raise ValueError(
                    f"its encoder learned texts with blanks at their ends ({text[:40]!r}), and a worker takes them off:"
                    " train on texts without them"
                )


def _named(categories: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    missing = pd.isna(categories)
    if not missing.any():
        return categories
    named: np.ndarray[Any, Any] = np.where(missing, "", categories.astype(object))
    return named


ENCODERS: Replacements = {"SklearnOneHotEncoder": _with_gaps}
