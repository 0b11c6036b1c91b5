"""Fitted scikit-learn classifiers as ONNX graphs, by skl2onnx, with what it lacks put right."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx
from onnx.utils import Extractor
from skl2onnx import to_onnx
from skl2onnx.common import tree_ensemble
from sklearn.pipeline import Pipeline

from models.onnx.conversion.converters import replaced
from models.onnx.conversion.discriminant import DISCRIMINANTS
from models.onnx.conversion.imputing import IMPUTER_SHAPES, IMPUTERS
from models.onnx.conversion.lookup import LOOKUP_SHAPES, LOOKUPS
from models.onnx.conversion.settings import SETTINGS
from models.onnx.conversion.texts import VECTORIZER_SHAPES, VECTORIZERS
from models.onnx.graph import OPSETS
from models.registry.spec import PROBABILITIES_OUTPUT

Inputs = Sequence[tuple[str, Any]]  # (name, skl2onnx type), as its `initial_types`


def transformer_graph(steps: Sequence[tuple[str, Any]], inputs: Inputs) -> onnx.ModelProto:
    """skl2onnx's graph of fitted steps that are no classifiers. Raises what skl2onnx raises."""
    with _mended():
        return to_onnx(Pipeline(list(steps)), initial_types=list(inputs), target_opset=OPSETS)


def classifier_graph(classifier: Any, inputs: Inputs) -> onnx.ModelProto:
    """skl2onnx's graph of a fitted classifier, cut down to the probabilities. Raises what skl2onnx raises."""
    with _mended():
        converted = to_onnx(
            classifier, initial_types=list(inputs), options={id(classifier): {"zipmap": False}}, target_opset=OPSETS
        )
    names = [value.name for value in converted.graph.input]
    return Extractor(converted).extract_model(names, [PROBABILITIES_OUTPUT])


def last_step(estimator: Any) -> Any:
    """The classifier at the end of a Pipeline, or the estimator itself."""
    return estimator.steps[-1][1] if hasattr(estimator, "steps") else estimator


_CONVERTERS = {**DISCRIMINANTS, **IMPUTERS, **LOOKUPS, **SETTINGS, **VECTORIZERS}
_REPLACED = ("sklearn_threshold", "add_tree_to_attribute_pairs")


@contextmanager
def _mended() -> Iterator[None]:
    """skl2onnx 1.20, put right while a graph is made.

    A threshold that is infinite (a split on whether a value is missing) is looked for without end; where a missing
    value goes is not passed on for scikit-learn's trees.
    """
    users = {
        module: {name: getattr(module, name) for name in _REPLACED if hasattr(module, name)}
        for module_name, module in list(sys.modules.items())
        if module_name.startswith("skl2onnx.")
    }
    theirs = users[tree_ensemble]

    def sklearn_threshold(value: Any, *given: Any) -> Any:
        return theirs["sklearn_threshold"](value, *given) if np.isfinite(value) else value

    def add_tree_to_attribute_pairs(pairs: Any, is_classifier: bool, tree: Any, *given: Any, **named: Any) -> None:
        theirs["add_tree_to_attribute_pairs"](pairs, is_classifier, tree, *given, **named)
        tracks = pairs["nodes_missing_value_tracks_true"]
        tracks[len(tracks) - tree.node_count :] = [int(flag) for flag in tree.missing_go_to_left]

    ours = {"sklearn_threshold": sklearn_threshold, "add_tree_to_attribute_pairs": add_tree_to_attribute_pairs}
    for module, before in users.items():
        for name in before:
            setattr(module, name, ours[name])
    try:
        with replaced(_CONVERTERS, {**IMPUTER_SHAPES, **LOOKUP_SHAPES, **VECTORIZER_SHAPES}):
            yield
    finally:
        for module, before in users.items():
            for name, original in before.items():
                setattr(module, name, original)
