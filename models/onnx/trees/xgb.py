"""XGBoost's trees, out of its own JSON."""

from __future__ import annotations

import itertools
import json
from typing import Any

import numpy as np

from models.onnx.trees.boosted import Boosted, Branch, Categories, Leaf
from models.onnx.unfit import UnfitStep


def xgboost_trees(model: Any) -> Boosted:
    """A fitted XGBClassifier, up to its best iteration: compares float32 with `<`, and a gap goes the learned way.

    The format: https://xgboost.readthedocs.io/en/stable/tutorials/saving_model.html (its JSON schema).
    """
    booster = model.get_booster()
    best = booster.attr("best_iteration")
    learner = json.loads(booster.save_raw("json"))["learner"]
    objective, boosting = learner["objective"]["name"], learner["gradient_booster"]
    dropped = boosting.get("weight_drop")
    boosting = boosting.get("gbtree", boosting)
    if objective not in ("binary:logistic", "reg:logistic", "multi:softprob", "multi:softmax"):
        raise UnfitStep(f"its objective {objective} gives no probabilities: fit it with binary:logistic")
    if "trees" not in boosting.get("model", {}):
        raise UnfitStep(f"its booster {boosting['name']} has no trees: fit it with booster='gbtree'")
    grown = boosting["model"]
    until = len(grown["trees"]) if best is None else int(grown["iteration_indptr"][int(best) + 1])
    weights = dropped or [1.0] * until
    trees = [
        (int(grown["tree_info"][at]), _node(tree, 0, float(weights[at]), _sets(tree)))
        for at, tree in enumerate(grown["trees"][:until])
    ]
    several = max(int(learner["learner_model_param"]["num_class"]), 1)
    start = np.atleast_1d(json.loads(learner["learner_model_param"]["base_score"])).astype(np.float64)
    base = np.log(start / (1 - start)) if several == 1 else np.broadcast_to(start, several)
    missing = None if model.missing is None or np.isnan(model.missing) else float(model.missing)
    return Boosted(
        trees,
        base.tolist(),
        "sigmoid" if several == 1 else "softmax",
        below=True,
        single=True,
        doubles=False,
        missing=missing,
        absent=True,
        categories=_categories(grown.get("cats", {}), learner["feature_types"]),
    )


def _categories(cats: Any, kinds: list[str]) -> dict[int, Categories]:
    """The texts or numbers of each category, since XGBoost 3.1; a text is kept as bytes."""
    found = {}
    for at, kind in enumerate(kinds):
        if kind != "c":
            continue
        learned = cats["enc"][at] if cats.get("enc") else {"values": []}
        keys: list[Any] = learned["values"]
        if "offsets" in learned:
            ends, letters = learned["offsets"], bytes(value % 256 for value in learned["values"])
            keys = [letters[start:end].decode("utf-8", "replace") for start, end in itertools.pairwise(ends)]
        if not keys:
            raise UnfitStep(
                "it knows the codes of its categories and not their texts: put an OrdinalEncoder or a OneHotEncoder "
                "before it, in a Pipeline"
            )
        if not all(str(key).isascii() for key in keys):
            raise UnfitStep(
                "XGBoost cuts categories that are not plain ASCII short: put an OrdinalEncoder or a OneHotEncoder "
                "before it, in a Pipeline"
            )
        found[at] = Categories(keys, closed=True)
    return found


def _sets(tree: Any) -> dict[int, frozenset[int]]:
    """Node → the codes that go right."""
    codes, starts, sizes = (tree.get(f"categories{name}", []) for name in ("", "_segments", "_sizes"))
    return {
        node: frozenset(codes[start : start + size])
        for node, start, size in zip(tree.get("categories_nodes", []), starts, sizes, strict=True)
    }


def _node(tree: Any, at: int, weight: float, sets: dict[int, frozenset[int]]) -> Branch | Leaf:
    left, right = tree["left_children"][at], tree["right_children"][at]
    value = float(np.float32(tree["split_conditions"][at]))
    if left < 0:
        if int(tree["tree_param"]["size_leaf_vector"]) > 1:
            raise UnfitStep("its trees have several outputs: fit it with multi_strategy='one_output_per_tree'")
        return Leaf([value * weight])
    feature, gap = int(tree["split_indices"][at]), bool(tree["default_left"][at])
    sides = _node(tree, left, weight, sets), _node(tree, right, weight, sets)
    if at in sets:
        return Branch(feature, sets[at], not gap, *reversed(sides))
    return Branch(feature, value, gap, *sides)
