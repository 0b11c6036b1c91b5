"""Trees on doubles: skl2onnx writes their thresholds and weights as floats, whatever its input is."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import numpy_helper
from skl2onnx.common.data_types import DoubleTensorType

from models.onnx.conversion.converters import Converter, Replacements

_VALUES = ("nodes_values", "nodes_hitrates", "class_weights", "target_weights", "base_values")
_OPSET = 3  # of ai.onnx.ml: the first whose ensembles hold doubles


def _in_doubles(theirs: Any) -> Converter:
    """Trees whose input is doubles get their thresholds, weights and base in doubles."""

    def convert(scope: Any, operator: Any, container: Any) -> None:
        if not isinstance(operator.inputs[0].type, DoubleTensorType):
            theirs(scope, operator, container)
            return
        add_node = container.add_node

        def add(op_type: str, *given: Any, **named: Any) -> None:
            if op_type.startswith("TreeEnsemble"):
                for name in _VALUES:
                    if name in named and len(values := np.asarray(named.pop(name), dtype=np.float64)):
                        named[f"{name}_as_tensor"] = numpy_helper.from_array(values.ravel(), name)
            add_node(op_type, *given, **named)

        container.add_node = add
        try:
            theirs(scope, operator, container, op_version=_OPSET)
        finally:
            del container.add_node

    return convert


TREES: Replacements = dict.fromkeys(
    (
        "SklearnDecisionTreeClassifier",
        "SklearnDecisionTreeRegressor",
        "SklearnExtraTreeClassifier",
        "SklearnExtraTreesClassifier",
        "SklearnGradientBoostingClassifier",
        "SklearnHistGradientBoostingClassifier",
        "SklearnRandomForestClassifier",
    ),
    _in_doubles,
)
