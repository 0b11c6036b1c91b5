"""scikit-learn's histogram boosting as boosted trees."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from models.onnx.trees.boosted import Boosted, Branch, Categories, Leaf


def histogram_boosting(model: Any) -> Boosted:
    """A fitted HistGradientBoostingClassifier: compares doubles; a category that it does not know is a gap."""
    before = model._preprocessor
    order, categories = None, {}
    if before is not None:  # it puts the categorical features first, as codes
        which = np.asarray(model.is_categorical_, dtype=bool)
        order = [*np.flatnonzero(which).tolist(), *np.flatnonzero(~which).tolist()]
        known, row_of = model._bin_mapper.make_known_categories_bitsets()
        for at, learned in enumerate(before.named_transformers_["encoder"].categories_):
            keys = [key for key in learned if not pd.isna(key)]
            codes = _codes(known[row_of[at]])
            categories[at] = Categories(keys, gaps=frozenset(range(len(keys))) - codes)
    trees = [(target, _node(each, 0, each.nodes)) for stage in model._predictors for target, each in enumerate(stage)]
    base = np.ravel(model._baseline_prediction).tolist()
    return Boosted(trees, base, "sigmoid" if len(base) == 1 else "softmax", categories=categories, order=order)


def _node(tree: Any, at: int, nodes: Any) -> Branch | Leaf:
    node = nodes[at]
    if node["is_leaf"]:
        return Leaf([float(node["value"])])
    upto: float | frozenset[int] = float(node["num_threshold"])
    if node["is_categorical"]:
        upto = _codes(tree.raw_left_cat_bitsets[node["bitset_idx"]])
    sides = (_node(tree, int(node[name]), nodes) for name in ("left", "right"))
    return Branch(int(node["feature_idx"]), upto, bool(node["missing_go_to_left"]), *sides)


def _codes(bits: Any) -> frozenset[int]:
    """The codes in a bitset of 32-bit words."""
    return frozenset(code for code in range(32 * len(bits)) if int(bits[code // 32]) >> code % 32 & 1)
