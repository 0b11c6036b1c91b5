"""What an estimator answers, row by row: its classes and probabilities, and which rows it refuses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from models.training.estimators.inputs import is_boolean


@dataclass(frozen=True)
class EstimatorAnswers:
    """Of N rows: `labels` [N] str objects (None where it refuses the row), `probabilities` [N, K] (NaN there)."""

    labels: np.ndarray[Any, Any]
    probabilities: np.ndarray[Any, Any]

    @property
    def refused(self) -> np.ndarray[Any, Any]:
        """[N] True where it gives no answer."""
        missing: np.ndarray[Any, Any] = self.labels == np.array(None)
        return missing


def answers(estimator: Any, rows: pd.DataFrame) -> EstimatorAnswers:
    """The answers of a fitted classifier on N rows, as a DataFrame if it was fitted on one, else as a matrix."""
    classes = len(estimator.classes_)
    labels = np.full(len(rows), None, dtype=object)
    probabilities = np.full((len(rows), classes), np.nan)
    ask: Callable[[pd.DataFrame], Any] = (
        (lambda part: part) if hasattr(estimator, "feature_names_in_") else pd.DataFrame.to_numpy
    )
    booleans = [name for name in rows if is_boolean(rows[name])]
    parts = _parts(rows, booleans)
    while parts:
        start, stop = parts.pop()
        part = ask(_as_booleans(rows.iloc[start:stop], booleans))
        try:
            given = estimator.predict(part), estimator.predict_proba(part)
        except Exception:  # noqa: BLE001 - estimators refuse rows with errors of many kinds
            if stop - start > 1:
                middle = (start + stop) // 2
                parts += [(start, middle), (middle, stop)]
            continue
        labels[start:stop] = [str(label) for label in np.ravel(given[0])]
        probabilities[start:stop] = np.asarray(given[1], dtype=np.float64).reshape(stop - start, classes)
    return EstimatorAnswers(labels, probabilities)


def _parts(rows: pd.DataFrame, booleans: Sequence[Any]) -> list[tuple[int, int]]:
    """Stretches of rows to ask for together: with a gap in it a column of true and false is another kind of column."""
    gaps = rows[booleans].isna().any(axis=1).to_numpy(bool)
    ends = [*(np.flatnonzero(gaps[1:] != gaps[:-1]) + 1), len(rows)]
    return [(int(start), int(stop)) for start, stop in zip([0, *ends[:-1]], ends, strict=True) if stop > start]


def _as_booleans(rows: pd.DataFrame, booleans: Sequence[Any]) -> pd.DataFrame:
    whole = [name for name in booleans if rows[name].notna().all()]
    return rows.astype(dict.fromkeys(whole, bool)) if whole else rows
