"""Fitted scikit-learn classifiers as ONNX graphs, by skl2onnx, with what it lacks put right."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper
from onnx.utils import Extractor
from skl2onnx import to_onnx
from skl2onnx.common import tree_ensemble
from skl2onnx.common.data_types import FloatTensorType
from sklearn.pipeline import Pipeline

from models.graph import FEATURES, OPSETS, GraphParts, behind
from models.spec import PROBABILITIES_OUTPUT

Inputs = Sequence[tuple[str, Any]]  # (name, skl2onnx type), as its `initial_types`


def features_graph(classifier: Any, features: int) -> onnx.ModelProto:
    """A fitted classifier on FEATURES, float32 [N, features]; its only output is the probabilities [N, K]."""
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
    return behind(converted, features_graph(last, int(last.n_features_in_)))


def last_step(estimator: Any) -> Any:
    """The classifier at the end of a Pipeline, or the estimator itself."""
    return estimator.steps[-1][1] if hasattr(estimator, "steps") else estimator


@contextmanager
def _mended() -> Iterator[None]:
    """skl2onnx 1.20, put right while a graph is made.

    A leaf of histogram boosting is given `False` where protobuf takes whole numbers only; a threshold that is infinite
    (a split on whether a value is missing) is looked for without end; where a missing value goes is not passed on for
    scikit-learn's other trees.
    """
    add_node, threshold, add_tree = (
        tree_ensemble.add_node,
        tree_ensemble.sklearn_threshold,
        tree_ensemble.add_tree_to_attribute_pairs,
    )

    def with_whole_flag(*given: Any, nodes_missing_value_tracks_true: int = 0, **named: Any) -> None:
        add_node(*given, nodes_missing_value_tracks_true=int(nodes_missing_value_tracks_true), **named)

    def finite_or_itself(value: Any, *given: Any) -> Any:
        return threshold(value, *given) if np.isfinite(value) else value

    def with_missing(pairs: Any, is_classifier: bool, tree: Any, *given: Any, **named: Any) -> None:
        add_tree(pairs, is_classifier, tree, *given, **named)
        tracks = pairs["nodes_missing_value_tracks_true"]
        tracks[len(tracks) - tree.node_count :] = [int(flag) for flag in tree.missing_go_to_left]

    users = [
        module
        for name, module in list(sys.modules.items())
        if name.startswith("skl2onnx.") and getattr(module, "add_tree_to_attribute_pairs", None) is add_tree
    ]
    tree_ensemble.add_node = with_whole_flag
    tree_ensemble.sklearn_threshold = finite_or_itself
    for module in users:
        module.add_tree_to_attribute_pairs = with_missing  # type: ignore[attr-defined]
    try:
        yield
    finally:
        tree_ensemble.add_node = add_node
        tree_ensemble.sklearn_threshold = threshold
        for module in users:
            module.add_tree_to_attribute_pairs = add_tree  # type: ignore[attr-defined]
