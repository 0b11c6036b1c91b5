"""A classifier whose classes get other names: libraries that take numbers only call them 0, 1, 2."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin


class Named(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """`estimator`, which is fitted, under the names `classes`, in the order of its own."""

    def __init__(self, estimator: Any, classes: Sequence[str]) -> None:
        self.estimator = estimator
        self.classes = classes
        self.classes_ = np.array(classes, dtype=object)
        for name in ("feature_names_in_", "n_features_in_"):
            if hasattr(estimator, name):
                setattr(self, name, getattr(estimator, name))

    def fit(self, *_: Any) -> Named:
        """It is fitted already."""
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def predict_proba(self, rows: Any) -> np.ndarray[Any, Any]:
        """[N, F] → [N, K]"""
        probabilities: np.ndarray[Any, Any] = self.estimator.predict_proba(rows)
        return probabilities

    def predict(self, rows: Any) -> np.ndarray[Any, Any]:
        """[N, F] → a name each, [N]"""
        own = [str(label) for label in self.estimator.classes_]
        named: np.ndarray[Any, Any] = self.classes_[
            [own.index(str(label)) for label in np.ravel(self.estimator.predict(rows))]
        ]
        return named
