"""A random forest of two classes as ONNX: built from the trees themselves, in a second, and quick to run."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from models.onnx.graph import FEATURES, GraphParts
from models.registry.spec import PROBABILITIES_OUTPUT


def forest_graph(forest: Any, features: int) -> onnx.ModelProto:
    """A fitted RandomForestClassifier of two classes on FEATURES, float32 [N, features]; gives probabilities [N, 2].

    The trees add up their leaves' shares of the second class, and the sum is divided by their number: where shares are
    multiples of 2^-12 that is exact in float32, so that a draw stays a draw. Each tree is a node of its own, so that a
    block of rows goes through one tree after the other, each small enough for the processor's cache; all in one node
    take a third longer.

    onnxruntime keeps a node's false branch right behind it in memory. That is to be the branch which more of the
    training rows took: where it is the left one, the test is turned round, on the negated feature.
    """
    parts = GraphParts(prefix="_/forest/")
    both = parts.add("Concat", FEATURES, parts.add("Neg", FEATURES), axis=1)
    votes = parts.add("Sum", *(_tree(parts, estimator.tree_, both, features) for estimator in forest.estimators_))
    second = parts.add("Div", votes, parts.constant(np.float32(len(forest.estimators_))))
    first = parts.add("Sub", parts.constant(np.float32(1.0)), second)
    parts.nodes.append(helper.make_node("Concat", [first, second], [PROBABILITIES_OUTPUT], axis=1))
    return parts.model(
        [helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, ["N", features])],
        [helper.make_tensor_value_info(PROBABILITIES_OUTPUT, TensorProto.FLOAT, ["N", 2])],
    )


def _tree(parts: GraphParts, tree: Any, both: str, features: int) -> str:
    """One of scikit-learn's trees on `both`, the features and their negatives; its rows' share of the second class."""
    leaf, left, right = tree.children_left < 0, tree.children_left, tree.children_right
    turned = ~leaf & (tree.n_node_samples[left] > tree.n_node_samples[right])
    thresholds = rounded_down(np.where(leaf, 0.0, tree.threshold))
    above = np.nextafter(thresholds, np.float32(np.inf))  # x > t is -x <= -above, for every float32 x
    shares = tree.value[leaf, 0, 1] / tree.value[leaf, 0].sum(axis=1)
    leaves = np.flatnonzero(leaf)
    return parts.add(
        "TreeEnsembleRegressor",
        both,
        domain="ai.onnx.ml",
        n_targets=1,
        aggregate_function="SUM",
        nodes_treeids=[0] * tree.node_count,
        nodes_nodeids=list(range(tree.node_count)),
        nodes_modes=np.where(leaf, "LEAF", "BRANCH_LEQ").tolist(),
        nodes_featureids=np.where(leaf, 0, tree.feature + features * turned).tolist(),
        nodes_values=np.where(turned, -above, thresholds).tolist(),
        nodes_truenodeids=np.where(leaf, 0, np.where(turned, right, left)).tolist(),
        nodes_falsenodeids=np.where(leaf, 0, np.where(turned, left, right)).tolist(),
        target_treeids=[0] * len(leaves),
        target_nodeids=leaves.tolist(),
        target_ids=[0] * len(leaves),
        target_weights=np.float32(shares).tolist(),
    )


def rounded_down(thresholds: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The largest float32 not above each threshold: `x <= t` is then the same for every float32 x."""
    rounded = thresholds.astype(np.float32)
    return np.where(rounded > thresholds, np.nextafter(rounded, np.float32(-np.inf)), rounded)
