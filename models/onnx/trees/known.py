"""Whose trees these are, and who reads them: no library is imported for it, its estimator brings what is asked."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sklearn.ensemble import HistGradientBoostingClassifier

from models.onnx.trees.boosted import Boosted
from models.onnx.trees.cat import catboost_trees
from models.onnx.trees.hist import histogram_boosting
from models.onnx.trees.lgbm import lightgbm_trees
from models.onnx.trees.xgb import xgboost_trees

BOOSTING_LIBRARIES = ("xgboost", "lightgbm", "catboost")


def library(estimator: Any) -> str | None:
    """The boosting library that an estimator is of."""
    for kind in type(estimator).__mro__:
        if (name := kind.__module__.partition(".")[0]) in BOOSTING_LIBRARIES:
            return name
    return None


def boosted_trees(estimator: Any, texts: Collection[int] = ()) -> Boosted | None:
    """Its trees; None where it is none whose trees are read here. `texts`: which of its features are texts."""
    if isinstance(estimator, HistGradientBoostingClassifier):
        return histogram_boosting(estimator)
    name = library(estimator)
    if name == "lightgbm":
        return lightgbm_trees(estimator, texts)
    if name == "xgboost":
        return xgboost_trees(estimator)
    return catboost_trees(estimator) if name == "catboost" else None
