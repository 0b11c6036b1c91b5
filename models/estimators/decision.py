"""How a classifier decides: by the most probable class, or by a threshold on one class's probability."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Decision:
    """`threshold`: the class at `positive` where its probability is so high or higher, else the other of two.

    None: the most probable class, the first of equals.
    """

    positive: int = 1
    threshold: float | None = None

    def labels(self, probabilities: np.ndarray[Any, Any], classes: tuple[str, ...]) -> np.ndarray[Any, Any]:
        """[N, K] → [N] str objects."""
        if self.threshold is None:
            chosen = probabilities.argmax(axis=1)
        else:
            chosen = np.where(probabilities[:, self.positive] >= self.threshold, self.positive, 1 - self.positive)
        named: np.ndarray[Any, Any] = np.array(classes, dtype=object)[chosen]
        return named

    def is_close(self, probabilities: np.ndarray[Any, Any], tolerance: float) -> np.ndarray[Any, Any]:
        """[N, K] → [N] True where probabilities that differ by `tolerance` may lead to another class."""
        if self.threshold is None:
            best = np.sort(probabilities, axis=1)
            close: np.ndarray[Any, Any] = best[:, -1] - best[:, -2] <= 2 * tolerance
            return close
        near: np.ndarray[Any, Any] = np.abs(probabilities[:, self.positive] - self.threshold) <= tolerance
        return near


MOST_PROBABLE = Decision()


def threshold_of(estimator: Any) -> Decision | None:
    """The decision of a classifier whose threshold was tuned or fixed; None where it has no such threshold.

    That is scikit-learn's TunedThresholdClassifierCV and FixedThresholdClassifier, as far as they look at
    `predict_proba`.
    """
    last = estimator.steps[-1][1] if hasattr(estimator, "steps") else estimator
    threshold = getattr(last, "best_threshold_", getattr(last, "threshold", None))
    inner = getattr(last, "estimator_", getattr(last, "estimator", None))
    method = getattr(last, "response_method", "auto")
    if threshold is None or inner is None or not hasattr(inner, "predict_proba") or method == "decision_function":
        return None
    positive = getattr(last, "pos_label", None)
    classes = list(last.classes_)
    place = 1 if positive is None else next((at for at, label in enumerate(classes) if label == positive), -1)
    if len(classes) != 2 or place < 0:
        return None
    return Decision(place, 0.5 if threshold == "auto" else float(threshold))
