"""SimpleImputer on any kind of column, with its indicators: ONNX's own runs in floats alone, and a gap in a text is an
empty text here."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from onnx import helper
from skl2onnx.common import _registration
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, StringTensorType

from models.onnx.conversion.converters import Converter, Replacements, add_parts

_KINDS = {DoubleTensorType: np.float64, FloatTensorType: np.float32, StringTensorType: object}


def _by_where(theirs: Converter) -> Converter:
    def convert(scope: Any, operator: Any, container: Any) -> None:
        imputer, kind = operator.raw_operator, _KINDS.get(type(operator.inputs[0].type))
        is_plain = pd.isna(imputer.missing_values) and not pd.isna(imputer.statistics_).any()
        if not is_plain or kind is None or (imputer.add_indicator and kind is object):
            theirs(scope, operator, container)
            return
        with add_parts(scope, operator, container) as parts:
            given = [value.full_name for value in operator.inputs]
            cells = given[0] if len(given) == 1 else parts.add("Concat", *given, axis=1)
            if kind is object:
                values, gaps = [list(map(str, imputer.statistics_))], parts.add("Equal", cells, parts.constant([""]))
            else:
                values, gaps = imputer.statistics_.astype(kind)[np.newaxis], parts.add("IsNaN", cells)
            pieces = [parts.add("Where", gaps, parts.constant(values), cells)]
            if imputer.add_indicator and len(asked := imputer.indicator_.features_):
                flags = parts.add("Cast", gaps, to=helper.np_dtype_to_tensor_dtype(np.dtype(kind)))
                pieces.append(parts.add("Gather", flags, parts.constant(np.asarray(asked, dtype=np.int64)), axis=1))
            parts.nodes.append(helper.make_node("Concat", pieces, [operator.outputs[0].full_name], axis=1))

    return convert


def _with_indicators(operator: Any) -> None:
    _their_shape(operator)
    imputer = operator.raw_operator
    if imputer.add_indicator:
        operator.outputs[0].type.shape = [None, len(imputer.statistics_) + len(imputer.indicator_.features_)]


_their_shape = _registration._shape_calculator_pool["SklearnSimpleImputer"]
IMPUTERS: Replacements = {"SklearnSimpleImputer": _by_where}
IMPUTER_SHAPES = {"SklearnSimpleImputer": _with_indicators}
