"""A classifier whose classes get other names: libraries that take numbers only call them 0, 1, 2."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.frozen import FrozenEstimator


class Named(FrozenEstimator):  # type: ignore[misc]
    """`estimator`, which is fitted, under the names `classes`, in the order of its own."""

    def __init__(self, estimator: Any, classes: Sequence[str]) -> None:
        super().__init__(estimator)
        self.classes = classes

    @property
    def classes_(self) -> np.ndarray[Any, Any]:
        """[K]"""
        return np.array(self.classes, dtype=object)

    def predict(self, rows: Any) -> np.ndarray[Any, Any]:
        """[N, F] → a name each, [N]"""
        own = [str(label) for label in self.estimator.classes_]
        places = [own.index(str(label)) for label in np.ravel(self.estimator.predict(rows))]
        named: np.ndarray[Any, Any] = self.classes_[places]
        return named
