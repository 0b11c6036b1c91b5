"""The classifier that a fitted estimator's probabilities come from."""

from __future__ import annotations

from typing import Any

from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.pipeline import Pipeline
from sklearn.semi_supervised import SelfTrainingClassifier

THRESHOLDS = (FixedThresholdClassifier, TunedThresholdClassifierCV)


def probable(estimator: Any) -> Any:
    """The estimator, or what lies in it, whose `predict_proba` is its own and which can be converted.

    A search gives its best estimator's answers, and a tuned or fixed threshold leaves the probabilities as they are.
    """
    while (inner := held_by(estimator)) is not None:
        estimator = inner
    if not isinstance(estimator, Pipeline):
        return estimator
    steps = [(name, step) for name, step in estimator.steps if step not in (None, "passthrough")]
    last = probable(steps[-1][1])
    if len(steps) == len(estimator.steps) and last is steps[-1][1]:
        return estimator
    behind = last.steps if isinstance(last, Pipeline) else [("last", last)]
    return Pipeline([*((f"before {name}", step) for name, step in steps[:-1]), *behind])


def held_by(estimator: Any) -> Any:
    """The fitted estimator whose probabilities this one passes on; None where it has its own."""
    if isinstance(estimator, THRESHOLDS):
        return getattr(estimator, "estimator_", estimator.estimator)
    if isinstance(estimator, SelfTrainingClassifier):
        return estimator.estimator_
    if isinstance(estimator, FrozenEstimator):
        return estimator.estimator
    return getattr(estimator, "best_estimator_", None)
