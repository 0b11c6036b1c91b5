"""Fitted scikit-learn classifiers as ONNX graphs, by skl2onnx, with what it lacks put right."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from inspect import signature
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, compose, helper
from onnx.utils import Extractor
from skl2onnx import to_onnx
from skl2onnx.common import tree_ensemble
from skl2onnx.common.data_types import FloatTensorType
from sklearn.pipeline import Pipeline

from models.onnx.conversion.converters import replaced
from models.onnx.conversion.discriminant import DISCRIMINANTS
from models.onnx.conversion.encoding import ENCODERS
from models.onnx.conversion.imputing import IMPUTERS
from models.onnx.conversion.trees import TREES
from models.onnx.conversion.voting import VOTING
from models.onnx.graph import FEATURES, OPSETS, GraphParts, behind
from models.registry.spec import PROBABILITIES_OUTPUT

Inputs = Sequence[tuple[str, Any]]  # (name, skl2onnx type), as its `initial_types`


def features_graph(classifier: Any, features: int) -> onnx.ModelProto:
    """A fitted classifier on FEATURES, float32 [N, features]; its only output is the probabilities [N, K].

    A classifier with a method `features_graph` gives its own.
    """
    if hasattr(classifier, "features_graph"):
        own: onnx.ModelProto = classifier.features_graph()
        return own
    return convert(classifier, [(FEATURES, FloatTensorType([None, features]))])


def convert(estimator: Any, inputs: Inputs, outputs: Sequence[str] = (PROBABILITIES_OUTPUT,)) -> onnx.ModelProto:
    """skl2onnx's graph of a fitted classifier or pipeline, cut down to `outputs`. Raises what skl2onnx raises."""
    with _mended():
        converted = to_onnx(
            estimator,
            initial_types=list(inputs),
            options={id(last_step(estimator)): {"zipmap": False}},
            target_opset=OPSETS,
        )
    _name_floats(converted)
    names = [value.name for value in converted.graph.input]
    return Extractor(converted).extract_model(names, list(outputs))


def convert_in_doubles(estimator: Any, inputs: Inputs) -> onnx.ModelProto:
    """The graph of a pipeline whose steps before the last are computed in doubles, and cast to float32 before that.

    So scikit-learn's trees have it: they take what comes as float32. Thresholds are then met exactly.
    """
    last = last_step(estimator)
    before = estimator.steps[:-1] if hasattr(estimator, "steps") else []
    if before:
        with _mended():
            converted = to_onnx(Pipeline(before), initial_types=list(inputs), target_opset=OPSETS)
        made = converted.graph.output[0].name
        converted.graph.node.append(helper.make_node("Cast", [made], [FEATURES], to=TensorProto.FLOAT))
        del converted.graph.output[:]
        converted.graph.output.append(helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, ["N", None]))
    else:
        parts = GraphParts(prefix="_/cast/")
        [(name, kind)] = inputs
        parts.nodes.append(helper.make_node("Cast", [name], [FEATURES], to=TensorProto.FLOAT))
        wide = kind.shape[1]
        converted = parts.model(
            [helper.make_tensor_value_info(name, TensorProto.DOUBLE, ["N", wide])],
            [helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, ["N", wide])],
        )
    # Both graphs name their own values by what they are: the second gets names that the first has not.
    classifier = compose.add_prefix(features_graph(last, int(last.n_features_in_)), "_/last/")
    return behind(converted, classifier)


def _name_floats(converted: onnx.ModelProto) -> None:
    """ONNX's classifiers give floats, also of doubles; skl2onnx names the output after the input."""
    makers = {name: node for node in converted.graph.node for name in node.output}
    for value in converted.graph.output:
        maker = makers.get(value.name)
        is_classifier = maker and maker.domain == "ai.onnx.ml" and maker.op_type.endswith("Classifier")
        if is_classifier and value.type.tensor_type.elem_type == TensorProto.DOUBLE:
            value.type.tensor_type.elem_type = TensorProto.FLOAT


def last_step(estimator: Any) -> Any:
    """The classifier at the end of a Pipeline, or the estimator itself."""
    return estimator.steps[-1][1] if hasattr(estimator, "steps") else estimator


_REPLACED = (
    "add_node",
    "sklearn_threshold",
    "add_tree_to_attribute_pairs",
    "add_tree_to_attribute_pairs_hist_gradient_boosting",
)


@contextmanager
def _mended() -> Iterator[None]:
    """skl2onnx 1.20, put right while a graph is made.

    A leaf of histogram boosting is given `False` where protobuf takes whole numbers only; a threshold that is infinite
    (a split on whether a value is missing) is looked for without end; where a missing value goes is not passed on for
    scikit-learn's other trees; thresholds of histogram boosting, which compares doubles, are moved as if it compared
    floats.
    """
    users = {
        module: {name: getattr(module, name) for name in _REPLACED if hasattr(module, name)}
        for module_name, module in list(sys.modules.items())
        if module_name.startswith("skl2onnx.")
    }
    theirs = users[tree_ensemble]

    def add_node(*given: Any, nodes_missing_value_tracks_true: int = 0, **named: Any) -> None:
        theirs["add_node"](*given, nodes_missing_value_tracks_true=int(nodes_missing_value_tracks_true), **named)

    def sklearn_threshold(value: Any, *given: Any) -> Any:
        return theirs["sklearn_threshold"](value, *given) if np.isfinite(value) else value

    def add_tree_to_attribute_pairs(pairs: Any, is_classifier: bool, tree: Any, *given: Any, **named: Any) -> None:
        theirs["add_tree_to_attribute_pairs"](pairs, is_classifier, tree, *given, **named)
        tracks = pairs["nodes_missing_value_tracks_true"]
        tracks[len(tracks) - tree.node_count :] = [int(flag) for flag in tree.missing_go_to_left]

    def add_tree_to_attribute_pairs_hist_gradient_boosting(*given: Any, **named: Any) -> None:
        values = signature(theirs["add_tree_to_attribute_pairs_hist_gradient_boosting"]).bind(*given, **named)
        if values.arguments.get("dtype") == np.float64:
            values.arguments["adjust_threshold_for_sklearn"] = False
        theirs["add_tree_to_attribute_pairs_hist_gradient_boosting"](*values.args, **values.kwargs)

    ours = dict(
        zip(
            _REPLACED,
            (
                add_node,
                sklearn_threshold,
                add_tree_to_attribute_pairs,
                add_tree_to_attribute_pairs_hist_gradient_boosting,
            ),
            strict=True,
        )
    )
    for module, before in users.items():
        for name in before:
            setattr(module, name, ours[name])
    try:
        with replaced({**DISCRIMINANTS, **ENCODERS, **IMPUTERS, **TREES, **VOTING}):
            yield
    finally:
        for module, before in users.items():
            for name, original in before.items():
                setattr(module, name, original)
