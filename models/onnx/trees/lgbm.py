"""LightGBM's trees, out of its own dump."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from typing import Any

from models.onnx.trees.boosted import Boosted, Branch, Categories, Leaf
from models.onnx.unfit import UnfitStep

_INFINITE = 1e300  # as a dump writes it


def lightgbm_trees(model: Any, texts: Collection[int] = ()) -> Boosted:
    """A fitted LGBMClassifier, up to its best iteration: compares doubles. `texts`: which of its features are texts.

    A category that no branch asks for goes right, as a gap does, which is no other answer.
    """
    dump = model.booster_.dump_model()
    objective = str(dump.get("objective", "custom")).split()
    settings = dict(part.split(":") for part in objective[1:] if ":" in part)
    if objective[0] not in ("binary", "multiclass"):
        raise UnfitStep(
            f"its objective {objective[0]} gives no probabilities that add up to 1: fit it with binary or multiclass"
        )
    trees = [tree["tree_structure"] for tree in dump["tree_info"]]
    several = int(dump["num_tree_per_iteration"])
    branches = [node for tree in trees for node in _branches(tree)]
    zero = {node["split_feature"] for node in branches if node["missing_type"] == "Zero"}
    if any(node["missing_type"] == "NaN" and node["split_feature"] in zero for node in branches):
        raise UnfitStep("zero is a gap in some of its trees alone: fit it in one go")
    categories = _categories(dump, branches, texts)
    average = len(trees) // several if dump.get("average_output") else 1
    return Boosted(
        [(at % several, _node(tree, categories)) for at, tree in enumerate(trees)],
        [0.0] * several,
        "sigmoid" if objective[0] == "binary" else "softmax",
        slope=float(settings.get("sigmoid", 1.0)),
        scale=1 / average,
        flat=True,
        zero=frozenset(zero),
        categories=categories,
    )


def _branches(root: Any) -> Iterator[Any]:
    left = [root]
    while left:
        node = left.pop()
        if "split_feature" in node:
            yield node
            left += [node["left_child"], node["right_child"]]


def _categories(dump: Any, branches: list[Any], texts: Collection[int]) -> dict[int, Categories]:
    infos = [dump["feature_infos"].get(name, {}).get("values") for name in dump["feature_names"]]
    categorical = [at for at, values in enumerate(infos) if values]
    asked = {node["split_feature"] for node in branches if node["decision_type"] == "=="}
    learned = dump.get("pandas_categorical") or []
    named = next((ats for ats in (sorted(texts), categorical) if len(ats) == len(learned)), None)
    if learned and (named is None or not set(texts) <= set(named)):
        raise UnfitStep(
            f"it learned the categories of {len(learned)} columns, and these rows have {len(texts)} columns of texts: "
            f"give rows with the same columns as category"
        )
    found = {at: Categories(keys) for at, keys in zip(named or [], learned, strict=True)} if learned else {}
    for at in asked - set(found):
        codes = {
            int(code) for node in branches if node["split_feature"] == at for code in node["threshold"].split("||")
        }
        found[at] = Categories(sorted(codes), whole=True)
    return found


def _node(node: Any, categories: dict[int, Categories]) -> Branch | Leaf:
    if "split_feature" not in node:
        if "leaf_const" in node or "leaf_coeff" in node:
            raise UnfitStep("its leaves are linear: fit it without linear_tree")
        return Leaf([float(node["leaf_value"])])
    feature, sides = (
        int(node["split_feature"]),
        (_node(node[name], categories) for name in ("left_child", "right_child")),
    )
    if node["decision_type"] == "==":
        codes = map(int, node["threshold"].split("||"))
        whole = categories[feature].whole
        return Branch(
            feature, frozenset(categories[feature].keys.index(c) if whole else c for c in codes), False, *sides
        )
    threshold = float(node["threshold"])
    threshold = math.copysign(math.inf, threshold) if abs(threshold) >= _INFINITE else threshold
    gap = threshold >= 0.0 if node["missing_type"] == "None" else bool(node["default_left"])
    return Branch(feature, threshold, gap, *sides)
