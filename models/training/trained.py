"""What a training gives, whatever the library: the estimator as it is, and the same model as one ONNX graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import onnx
import pandas as pd

Progress = Callable[[int, int], None]  # steps done, steps in all


class Estimator(Protocol):
    """A fitted classifier in its own library, on raw columns."""

    @property
    def classes_(self) -> Any:
        """[K], in the order of the probabilities."""

    def predict_proba(self, rows: pd.DataFrame) -> np.ndarray[Any, Any]:
        """[N, K]"""


@dataclass(frozen=True)
class Trained:
    """`graph` takes the raw columns and gives label and probabilities; `history`: metric → its value per epoch."""

    kind: str
    estimator: Estimator
    graph: onnx.ModelProto
    parameters: Mapping[str, Any]
    history: Mapping[str, Sequence[float]] = field(default_factory=dict)


def no_progress(_done: int, _total: int) -> None:
    """A progress that shows nothing."""
