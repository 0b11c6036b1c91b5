"""SimpleImputer in doubles and on text: ONNX's own runs in floats alone, and a gap in a text is an empty text here."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from onnx import TensorProto
from skl2onnx.common.data_types import DoubleTensorType, StringTensorType
from skl2onnx.operator_converters.common import concatenate_variables

from models.onnx.conversion.converters import Converter, Replacements


def _by_where(theirs: Converter) -> Converter:
    def convert(scope: Any, operator: Any, container: Any) -> None:
        imputer, kind = operator.raw_operator, operator.inputs[0].type
        is_plain = pd.isna(imputer.missing_values) and not pd.isna(imputer.statistics_).any()
        if not (is_plain and isinstance(kind, DoubleTensorType | StringTensorType)) or imputer.add_indicator:
            theirs(scope, operator, container)
            return
        cells = concatenate_variables(scope, operator.inputs, container)
        gaps, values = scope.get_unique_variable_name("gaps"), scope.get_unique_variable_name("statistics")
        shape = [1, len(imputer.statistics_)]
        if isinstance(kind, StringTensorType):
            nothing = scope.get_unique_variable_name("nothing")
            container.add_initializer(nothing, TensorProto.STRING, [1], [b""])
            texts = [str(text).encode() for text in imputer.statistics_]
            container.add_initializer(values, TensorProto.STRING, shape, texts)
            container.add_node("Equal", [cells, nothing], [gaps], name=scope.get_unique_operator_name("Equal"))
        else:
            numbers = imputer.statistics_.astype(np.float64).tolist()
            container.add_initializer(values, TensorProto.DOUBLE, shape, numbers)
            container.add_node("IsNaN", [cells], [gaps], name=scope.get_unique_operator_name("IsNaN"), op_version=13)
        container.add_node(
            "Where",
            [gaps, values, cells],
            [operator.outputs[0].full_name],
            name=scope.get_unique_operator_name("Where"),
            op_version=9,
        )

    return convert


IMPUTERS: Replacements = {"SklearnSimpleImputer": _by_where}
