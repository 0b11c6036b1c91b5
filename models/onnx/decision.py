"""How a classifier decides: by the most probable class, or by a threshold on one class's probability."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

DRAW = 1e-6  # what sums in float32 make of probabilities that are equal in double


@dataclass(frozen=True)
class Decision:
    """`threshold`: the class at `positive` where its probability is so high or higher, else the other of two.

    None: the most probable class, the first of equals. `draw`: a graph takes probabilities that close for equal.
    """

    positive: int = 1
    threshold: float | None = None
    draw: float = 0.0

    def labels(self, probabilities: np.ndarray[Any, Any], classes: tuple[str, ...]) -> np.ndarray[Any, Any]:
        """[N, K] → [N] str objects, `draw` left aside; the first class where a row's probabilities are NaN."""
        if self.threshold is None:
            chosen = probabilities.argmax(axis=1)
        else:
            chosen = np.where(probabilities[:, self.positive] >= self.threshold, self.positive, 1 - self.positive)
        named: np.ndarray[Any, Any] = np.array(classes, dtype=object)[chosen]
        return named

    def is_close(self, probabilities: np.ndarray[Any, Any], tolerance: float) -> np.ndarray[Any, Any]:
        """[N, K] → [N] True where probabilities that differ by `tolerance` may lead to another class.

        Not where they are exactly equal, or exactly the threshold: there the rule itself says which class it is.
        """
        if self.threshold is None:
            best = np.sort(probabilities, axis=1)
            distance, reach = best[:, -1] - best[:, -2], 2 * tolerance
        else:
            distance, reach = np.abs(probabilities[:, self.positive] - self.threshold), tolerance
        close: np.ndarray[Any, Any] = (distance > 0) & (distance <= reach)
        return close


MOST_PROBABLE = Decision()
