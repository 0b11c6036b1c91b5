"""The rule by which a fitted classifier decides."""

from __future__ import annotations

from typing import Any

from sklearn.ensemble import GradientBoostingClassifier, StackingClassifier
from sklearn.linear_model import SGDClassifier
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC, NuSVC

from models.onnx.conversion.probable import THRESHOLDS, held_by
from models.onnx.decision import DRAW, Decision
from models.onnx.trees.known import library

ADVICE = (
    "put it into CalibratedClassifierCV, which decides by probabilities, or into FixedThresholdClassifier with "
    "response_method='predict_proba', and register that"
)


class OtherRule(Exception):
    """It decides by a rule that cannot be served; the text says which, and what to do."""


def decision_of(estimator: Any) -> Decision:
    """By what its `predict` decides. Raises OtherRule.

    Estimators that nobody knows here count as deciding by the most probable class, which their answers have to show.
    """
    if isinstance(estimator, THRESHOLDS):
        return _threshold(estimator)
    inner = held_by(estimator)
    if inner is not None:
        return decision_of(inner)
    if isinstance(estimator, Pipeline):
        return decision_of(estimator.steps[-1][1])
    if isinstance(estimator, StackingClassifier):
        return decision_of(estimator.final_estimator_)
    if isinstance(estimator, OneVsRestClassifier):
        return decision_of(estimator.estimators_[0])
    kind = type(estimator).__name__
    if isinstance(estimator, SVC | NuSVC):
        raise OtherRule(
            f"{kind} decides by its margins, and its probabilities, which are fitted to them afterwards, may be for "
            f"another class: {ADVICE}"
        )
    if isinstance(estimator, SGDClassifier) and estimator.loss == "modified_huber" and len(estimator.classes_) > 2:
        raise OtherRule(
            f"{kind} with modified_huber and more than two classes decides by its margins, and gives the same "
            f"probability to each class where all are below -1: {ADVICE}"
        )
    if library(estimator) == "catboost" and len(estimator.classes_) == 2:
        threshold = float(estimator.get_probability_threshold())
        return Decision(draw=DRAW) if threshold == 0.5 else Decision(1, threshold, DRAW)
    if isinstance(estimator, GradientBoostingClassifier) and len(estimator.classes_) == 2:
        return Decision(1, 0.5, DRAW)  # of equals the second
    return Decision(draw=DRAW)


def _threshold(estimator: Any) -> Decision:
    kind, by = type(estimator).__name__, estimator.response_method
    threshold: Any = estimator.best_threshold_ if hasattr(estimator, "best_threshold_") else estimator.threshold
    if by == "decision_function" or not hasattr(held_by(estimator), "predict_proba"):
        raise OtherRule(
            f"{kind} has its threshold on decision_function, and a version gives probabilities alone: fit it again "
            f"with response_method='predict_proba'"
        )
    classes = list(estimator.classes_)
    scorer = getattr(estimator, "_curve_scorer", None)
    positive = estimator.pos_label if scorer is None else scorer._get_pos_label()
    positive = classes[-1] if positive is None else positive
    if len(classes) != 2 or positive not in classes:
        raise OtherRule(f"{kind} has its threshold on {positive!r}, which is none of its two classes {classes}")
    return Decision(classes.index(positive), 0.5 if threshold == "auto" else float(threshold), DRAW)
