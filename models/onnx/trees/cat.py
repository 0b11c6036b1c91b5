"""CatBoost's trees, out of its own JSON."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from models.onnx.trees.boosted import Boosted, Branch, Leaf
from models.onnx.unfit import UnfitStep


def catboost_trees(model: Any) -> Boosted:
    """A fitted CatBoostClassifier on numbers: compares float32 with `>`, and a gap goes as its nan_mode has it.

    The format: https://catboost.ai/docs/en/concepts/json-model-format.
    """
    if list(model.get_cat_feature_indices()) or model.get_text_feature_indices():
        raise UnfitStep(
            "it was fitted with cat_features or text_features, whose statistics CatBoost cannot export: put a "
            "OneHotEncoder or a TargetEncoder before it, in a Pipeline, and leave cat_features out"
        )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.json"
        model.save_model(str(path), format="json")
        saved = json.loads(path.read_text(encoding="utf-8"))
    loss = str(model.get_all_params().get("loss_function", ""))
    if loss not in ("Logloss", "CrossEntropy", "MultiClass"):
        raise UnfitStep(f"its loss {loss} is not served: fit it with Logloss or MultiClass")
    gaps = {
        each["feature_index"]: each["nan_value_treatment"] != "AsTrue"
        for each in saved["features_info"]["float_features"]
    }
    scale, bias = saved["scale_and_bias"]
    several = len(bias)
    trees = [_oblivious(tree, gaps, several) for tree in saved.get("oblivious_trees", ())]
    trees += [_node(tree, gaps) for tree in saved.get("trees", ())]
    return Boosted(
        [(0, tree) for tree in trees],
        [value / scale for value in bias],
        "sigmoid" if several == 1 else "softmax",
        scale=float(scale),
        single=True,
        order=_order(saved),
    )


def _order(saved: Any) -> list[int]:
    """The trees count float features alone; the input has them at their flat places."""
    return [each["flat_feature_index"] for each in saved["features_info"]["float_features"]]


def _split(split: Any, gaps: dict[int, bool]) -> tuple[int, float, bool]:
    if split["split_type"] != "FloatFeature":
        raise UnfitStep(f"it branches on a {split['split_type']}, which CatBoost cannot export: encode texts before it")
    feature = int(split["float_feature_index"])
    return feature, float(np.float32(split["border"])), gaps[feature]


def _oblivious(tree: Any, gaps: dict[int, bool], several: int) -> Branch | Leaf:
    """All branches of a level are one: its bit is set in the number of the leaf where the value is above the border."""
    leaves: list[Any] = [
        Leaf(tree["leaf_values"][at : at + several]) for at in range(0, len(tree["leaf_values"]), several)
    ]
    for split in tree["splits"] or ():
        leaves = [Branch(*_split(split, gaps), *pair) for pair in zip(leaves[::2], leaves[1::2], strict=True)]
    root: Branch | Leaf = leaves[0]
    return root


def _node(node: Any, gaps: dict[int, bool]) -> Branch | Leaf:
    if "split" not in node:
        return Leaf(np.atleast_1d(node["value"]).tolist())
    return Branch(*_split(node["split"], gaps), _node(node["left"], gaps), _node(node["right"], gaps))
