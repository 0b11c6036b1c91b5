"""A forest as a graph: each row in the leaf that scikit-learn finds, by branches laid out for the processor."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from onnx import helper
from sklearn.ensemble import RandomForestClassifier

from models.onnx.forest import forest_graph
from models.onnx.graph import FEATURES

COLUMNS = 4


@pytest.fixture(scope="module")
def forest():
    choose = np.random.default_rng(3)
    rows = choose.normal(size=(800, COLUMNS)).astype(np.float32)
    rows[:, 0] = np.round(rows[:, 0])  # thresholds halfway between whole numbers, and zero among them
    labels = rows.sum(axis=1) + choose.normal(size=800) > 0.4
    return RandomForestClassifier(n_estimators=7, min_samples_leaf=2, random_state=0).fit(rows, labels)


def at_thresholds(forest):
    """Rows whose features are some tree's thresholds, and the float32 numbers on both sides of each."""
    exact = np.concatenate([tree.tree_.threshold[tree.tree_.children_left >= 0] for tree in forest.estimators_])
    near = exact.astype(np.float32)
    cells = np.concatenate([near, np.nextafter(near, np.float32(-np.inf)), np.nextafter(near, np.float32(np.inf))])
    cells = np.concatenate([cells, np.float32([0.0, -0.0, np.inf, -np.inf])])
    return np.random.default_rng(4).choice(cells, (5_000, COLUMNS))


def test_rows_at_the_thresholds_come_to_the_leaves_that_scikit_learn_finds(forest):
    rows = at_thresholds(forest)
    rows[~np.isfinite(rows)] = np.float32(3e38)  # scikit-learn takes no infinite cell
    session = onnxruntime.InferenceSession(forest_graph(forest, COLUMNS).SerializeToString())
    (found,) = session.run(None, {FEATURES: rows})
    np.testing.assert_allclose(found, forest.predict_proba(rows), rtol=0, atol=2e-7)


def test_the_branch_that_more_training_rows_took_is_the_false_one(forest):
    graph = forest_graph(forest, COLUMNS).graph
    nodes = [node for node in graph.node if node.op_type == "TreeEnsembleRegressor"]
    turned = 0
    for node, estimator in zip(nodes, forest.estimators_, strict=True):
        tree = estimator.tree_
        of = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        for at in np.flatnonzero(tree.children_left >= 0):
            fewer, more = of["nodes_truenodeids"][at], of["nodes_falsenodeids"][at]
            assert {fewer, more} == {tree.children_left[at], tree.children_right[at]}
            assert tree.n_node_samples[fewer] <= tree.n_node_samples[more]
            turned += of["nodes_featureids"][at] >= COLUMNS
    assert turned > 10
