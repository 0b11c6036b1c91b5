"""What an estimator answers, row by row: its classes and probabilities, and which rows it refuses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer

from models.onnx.conversion.compose import first_steps
from models.onnx.trees.known import library
from models.training.estimators.inputs import is_boolean
from models.training.register import RegistrationRefused


@dataclass(frozen=True)
class EstimatorAnswers:
    """Of N rows: `labels` [N] str objects (None where it refuses the row), `probabilities` [N, K] (NaN there).

    `said`: the first error by which it refused one.
    """

    labels: np.ndarray[Any, Any]
    probabilities: np.ndarray[Any, Any]
    said: str = ""

    @property
    def refused(self) -> np.ndarray[Any, Any]:
        """[N] True where it gives no answer."""
        missing: np.ndarray[Any, Any] = self.labels == np.array(None)
        return missing


def answers(estimator: Any, rows: pd.DataFrame, given: pd.DataFrame) -> EstimatorAnswers:
    """The answers of a fitted classifier on N rows, as a DataFrame if it was fitted on one, else as a matrix.

    `given`: rows as it was fitted on, by which columns are categories.
    """
    classes = len(estimator.classes_)
    labels = np.full(len(rows), None, dtype=object)
    probabilities = np.full((len(rows), classes), np.nan)
    ask = _asked(estimator)
    booleans = [name for name in rows if is_boolean(rows[name])]
    parts = _parts(rows, booleans)
    said = ""
    while parts:
        start, stop = parts.pop()
        part = ask(_as_categories(_as_booleans(rows.iloc[start:stop], booleans), given))
        try:
            told = estimator.predict(part), estimator.predict_proba(part)
        except Exception as error:  # noqa: BLE001 - estimators refuse rows with errors of many kinds
            said = said or str(error).strip().partition("\n")[0][:200]
            if stop - start > 1:
                middle = (start + stop) // 2
                parts += [(start, middle), (middle, stop)]
            continue
        if np.size(told[0]) != stop - start:
            raise RegistrationRefused("the estimator gives several answers to a row: register one classifier for each")
        labels[start:stop] = [str(label) for label in np.ravel(told[0])]
        probabilities[start:stop] = np.asarray(told[1], dtype=np.float64).reshape(stop - start, classes)
    return EstimatorAnswers(labels, probabilities, said)


def takes_texts(estimator: Any) -> bool:
    """Whether it was fitted on one column of texts, as a Series is, and not on a table."""
    return any(isinstance(first, CountVectorizer | HashingVectorizer) for first in first_steps(estimator))


def _asked(estimator: Any) -> Callable[[pd.DataFrame], Any]:
    """What makes of a table that which it was fitted on."""
    if takes_texts(estimator):
        return lambda part: part.iloc[:, 0]
    if hasattr(estimator, "feature_names_in_") or library(estimator) is not None:
        return lambda part: part
    return pd.DataFrame.to_numpy


def _parts(rows: pd.DataFrame, booleans: Sequence[Any]) -> list[tuple[int, int]]:
    """Stretches of rows to ask for together: with a gap in it a column of true and false is another kind of column."""
    gaps = rows[booleans].isna().any(axis=1).to_numpy(bool)
    ends = [*(np.flatnonzero(gaps[1:] != gaps[:-1]) + 1), len(rows)]
    return [(int(start), int(stop)) for start, stop in zip([0, *ends[:-1]], ends, strict=True) if stop > start]


def _as_booleans(rows: pd.DataFrame, booleans: Sequence[Any]) -> pd.DataFrame:
    whole = [name for name in booleans if rows[name].notna().all()]
    return rows.astype(dict.fromkeys(whole, bool)) if whole else rows


def _as_categories(rows: pd.DataFrame, given: pd.DataFrame) -> pd.DataFrame:
    """With the categories of `given` as categories again, and those that are new behind them."""
    kinds = {}
    for name in rows:
        if isinstance(kind := given[name].dtype, pd.CategoricalDtype):
            new = [cell for cell in rows[name].dropna().unique() if cell not in kind.categories]
            kinds[name] = pd.CategoricalDtype([*kind.categories, *new], kind.ordered)
    return rows.astype(kinds)
