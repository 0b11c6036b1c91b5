"""Building blocks of ONNX graphs: raw columns to features, dense layers, one graph behind another.

All by core operators that onnxruntime runs without any other library. Names inside a graph start with `_/`, so that no
column of a user's can collide with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, compose, helper, numpy_helper
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from models.registry.spec import PROBABILITIES_OUTPUT

# Old enough for the onnxruntime of a worker that was not updated today, new enough for every operator used here.
OPSETS = {"": 19, "ai.onnx.ml": 3}
IR_VERSION = 9
FEATURES = "_/features"

Floats = np.ndarray[Any, Any]


class GraphParts:
    """Nodes and constants of a graph under construction; its methods give the name of the value that they add."""

    def __init__(self, prefix: str = "_/") -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._prefix = prefix

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """One node with one output."""
        output = f"{self._prefix}{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def constant(self, values: Any) -> str:
        """`values` as an initializer: an array of numbers, or a (nested) list of str."""
        array = np.asarray(values, dtype=object) if _is_text(values) else np.asarray(values)
        name = f"{self._prefix}constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def column(self, name: str) -> str:
        """A rank-1 input [N] as [N, 1], in any operator set (Unsqueeze has changed)."""
        return self.add("Reshape", name, self.constant(np.array([-1, 1], dtype=np.int64)))

    def words(self, name: str) -> str:
        """A double column [N] of 1, 0 and NaN as the texts True, False and none."""
        is_true = self.add("Equal", name, self.constant(np.array(1.0)))
        words = self.add("Where", is_true, self.constant(["True"]), self.constant(["False"]))
        return self.add("Where", self.add("IsNaN", name), self.constant([""]), words)

    def one_hot(self, name: str, categories: Sequence[str]) -> str:
        """A text column [N] as float32 [N, K]; a text that is none of the categories is all zeros."""
        known = len(categories)
        places = self.add(  # one look-up for each cell; Equal would compare it with every category
            "LabelEncoder",
            name,
            domain="ai.onnx.ml",
            keys_strings=list(categories),
            values_int64s=list(range(known)),
            default_int64=known,
        )
        return self.add("Gather", self.constant(np.eye(known + 1, known, dtype=np.float32)), places)

    def numbers(self, names: Sequence[str], medians: Floats, means: Floats | None, scales: Floats | None) -> str:
        """Double columns [N] as float32 [N, len(names)]: NaN → median, then (x - mean) / scale, all in doubles."""
        stacked = self.add("Concat", *(self.column(name) for name in names), axis=1)
        filled = self.add("Where", self.add("IsNaN", stacked), self.constant(_row(medians)), stacked)
        if means is not None:
            filled = self.add("Sub", filled, self.constant(_row(means)))
        if scales is not None:
            filled = self.add("Div", filled, self.constant(_row(scales)))
        return self.add("Cast", filled, to=TensorProto.FLOAT)

    def model(self, inputs: Sequence[onnx.ValueInfoProto], outputs: Sequence[onnx.ValueInfoProto]) -> onnx.ModelProto:
        """The graph as a model of this project's opsets."""
        graph = helper.make_graph(self.nodes, "model", list(inputs), list(outputs), self.constants)
        opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)


def preprocessing_graph(fitted: ColumnTransformer) -> onnx.ModelProto:
    """What a fitted ColumnTransformer does, from raw columns [N] to FEATURES, float32 [N, F] in its own order.

    Known steps: OneHotEncoder(handle_unknown="ignore"), and SimpleImputer with or without a StandardScaler behind it.
    Raises TypeError for others.
    """
    parts, pieces = GraphParts(), []
    kinds: dict[str, int] = {}
    for _, step, columns in fitted.transformers_:
        if isinstance(step, OneHotEncoder):
            kinds |= dict.fromkeys(columns, TensorProto.STRING)
            pieces += [
                parts.one_hot(name, list(map(str, categories)))
                for name, categories in zip(columns, step.categories_, strict=True)
            ]
        elif columns:
            kinds |= dict.fromkeys(columns, TensorProto.DOUBLE)
            pieces.append(_numbers(parts, columns, step))
    parts.nodes.append(helper.make_node("Concat", pieces, [FEATURES], axis=1))
    inputs = [helper.make_tensor_value_info(name, kinds[name], ["N"]) for name in fitted.feature_names_in_]
    return parts.model(inputs, [helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, ["N", None])])


def dense_network_graph(layers: Sequence[tuple[Floats, Floats]]) -> onnx.ModelProto:
    """Dense layers, given as (weights [in, out], bias [out]): ReLU between them, and a sigmoid on the one last unit.

    Takes FEATURES, gives probabilities [N, 2]; the last unit's is that of the second class.
    """
    parts = GraphParts(prefix="_/network/")
    value = FEATURES
    for index, (weights, bias) in enumerate(layers):
        value = parts.add("Gemm", value, parts.constant(np.float32(weights)), parts.constant(np.float32(bias)))
        value = parts.add("Sigmoid" if index == len(layers) - 1 else "Relu", value)
    other = parts.add("Sub", parts.constant(np.float32(1.0)), value)
    parts.nodes.append(helper.make_node("Concat", [other, value], [PROBABILITIES_OUTPUT], axis=1))
    return parts.model(
        [helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, ["N", len(layers[0][0])])],
        [helper.make_tensor_value_info(PROBABILITIES_OUTPUT, TensorProto.FLOAT, ["N", 2])],
    )


def behind(preprocessing: onnx.ModelProto, classifier: onnx.ModelProto) -> onnx.ModelProto:
    """One graph: the preprocessing, and what it gives fed to the classifier's only input."""
    for model in (preprocessing, classifier):
        model.ir_version = IR_VERSION
        del model.opset_import[:]
        model.opset_import.extend(helper.make_opsetid(domain, version) for domain, version in OPSETS.items())
    return compose.merge_models(preprocessing, classifier, io_map=[(FEATURES, classifier.graph.input[0].name)])


def _numbers(parts: GraphParts, columns: Sequence[str], step: Any) -> str:
    steps = [one for _, one in (step if isinstance(step, Pipeline) else make_pipeline(step)).steps]
    imputer, scaler = steps[0], steps[1] if len(steps) > 1 else None
    if not isinstance(imputer, SimpleImputer) or not (scaler is None or isinstance(scaler, StandardScaler)):
        raise TypeError(f"no graph for the steps {steps}: only SimpleImputer and StandardScaler behind it are known")
    return parts.numbers(
        columns,
        np.nan_to_num(imputer.statistics_.astype(np.float64)),
        None if scaler is None else scaler.mean_,
        None if scaler is None else scaler.scale_,
    )


def _row(values: Floats) -> Floats:
    return np.asarray(values, dtype=np.float64)[np.newaxis, :]


def _is_text(values: Any) -> bool:
    while isinstance(values, list) and values:
        values = values[0]
    return isinstance(values, str)
