"""Fitted scikit-learn classifiers as ONNX graphs, by skl2onnx."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import onnx
from onnx.utils import Extractor
from skl2onnx import to_onnx
from skl2onnx.common import tree_ensemble
from skl2onnx.common.data_types import FloatTensorType

from models.graph import FEATURES, OPSETS
from models.spec import PROBABILITIES_OUTPUT


def features_graph(classifier: Any, features: int) -> onnx.ModelProto:
    """A fitted classifier on FEATURES, float32 [N, features]; its only output is the probabilities [N, K]."""
    return convert(classifier, [(FEATURES, FloatTensorType([None, features]))])


def convert(estimator: Any, inputs: Sequence[tuple[str, Any]]) -> onnx.ModelProto:
    """skl2onnx's graph of a fitted classifier or pipeline, cut down to its probabilities.

    `inputs`: (name, skl2onnx type), as its `initial_types`. Raises what skl2onnx raises.
    """
    with _whole_flags():
        converted = to_onnx(
            estimator,
            initial_types=list(inputs),
            options={id(_last(estimator)): {"zipmap": False}},
            target_opset=OPSETS,
        )
    names = [value.name for value in converted.graph.input]
    return Extractor(converted).extract_model(names, [PROBABILITIES_OUTPUT])


def _last(estimator: Any) -> Any:
    return estimator.steps[-1][1] if hasattr(estimator, "steps") else estimator


@contextmanager
def _whole_flags() -> Iterator[None]:
    """skl2onnx 1.20 gives a leaf of histogram boosting `False` where protobuf takes whole numbers only."""
    add_node = tree_ensemble.add_node

    def with_whole_flag(*given: Any, nodes_missing_value_tracks_true: int = 0, **named: Any) -> None:
        add_node(*given, nodes_missing_value_tracks_true=int(nodes_missing_value_tracks_true), **named)

    tree_ensemble.add_node = with_whole_flag
    try:
        yield
    finally:
        tree_ensemble.add_node = add_node
