"""SimpleImputer in doubles: ONNX's own Imputer, which skl2onnx takes, runs in floats alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from onnx import TensorProto
from skl2onnx.common import _registration
from skl2onnx.common.data_types import DoubleTensorType
from skl2onnx.operator_converters.common import concatenate_variables

_NAME = "SklearnSimpleImputer"


@contextmanager
def imputing_in_doubles() -> Iterator[None]:
    """While it lasts skl2onnx converts SimpleImputers of numbers so."""
    theirs = _registration._converter_pool[_NAME]

    def convert(scope: Any, operator: Any, container: Any) -> None:
        imputer = operator.raw_operator
        missing = imputer.missing_values
        is_plain = isinstance(missing, float) and np.isnan(missing) and not np.isnan(imputer.statistics_).any()
        if not (isinstance(operator.inputs[0].type, DoubleTensorType) and is_plain):
            theirs._fct(scope, operator, container)
            return
        cells = concatenate_variables(scope, operator.inputs, container)
        gaps, values = scope.get_unique_variable_name("gaps"), scope.get_unique_variable_name("statistics")
        statistics = imputer.statistics_.astype(np.float64)
        container.add_initializer(values, TensorProto.DOUBLE, [1, len(statistics)], statistics.tolist())
        container.add_node("IsNaN", [cells], [gaps], name=scope.get_unique_operator_name("IsNaN"), op_version=13)
        container.add_node(
            "Where",
            [gaps, values, cells],
            [operator.outputs[0].full_name],
            name=scope.get_unique_operator_name("Where"),
            op_version=9,
        )

    _registration._converter_pool[_NAME] = _registration.RegisteredConverter(convert, theirs._options)
    try:
        yield
    finally:
        _registration._converter_pool[_NAME] = theirs
