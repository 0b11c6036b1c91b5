"""The values of each column at which a fitted model's trees branch, found through the preprocessing before them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

MOST = 200  # of one column


def thresholds(estimator: Any, rows: pd.DataFrame, texts: Sequence[str]) -> dict[str, np.ndarray[Any, Any]]:
    """Column of numbers → thresholds, and for each the nearest doubles and floats on its two sides.

    Known: scikit-learn's trees and histogram boosting, alone or in ensembles, at the end of a Pipeline whose steps
    before it take each number to a linear function of it alone (or leave it). Other columns are left out.
    """
    steps = [step for _, step in estimator.steps] if hasattr(estimator, "steps") else [estimator]
    of_feature: dict[int, list[float]] = {}
    for feature, value in _branches(steps[-1]):
        of_feature.setdefault(feature, []).append(value)
    if not of_feature:
        return {}
    numbers = [name for name in rows.columns if name not in texts]
    found = {}
    for name, (feature, slope, offset) in _linear(estimator, steps[:-1], rows, numbers).items():
        values = np.unique((np.array(of_feature.get(feature, [])) - offset) / slope)
        values = values[np.isfinite(values)][:: max(1, values.size // MOST)]
        if values.size:
            single = values.astype(np.float32)
            found[name] = np.concatenate(
                [
                    values,
                    np.nextafter(values, -np.inf),
                    np.nextafter(values, np.inf),
                    single.astype(np.float64),
                    np.nextafter(single, np.float32(-np.inf)).astype(np.float64),
                    np.nextafter(single, np.float32(np.inf)).astype(np.float64),
                ]
            )
    return found


def _branches(model: Any) -> Iterator[tuple[int, float]]:
    """(feature, threshold) of each branch of the trees in `model`, looked for in the estimators that it holds."""
    tree = getattr(model, "tree_", None)
    if tree is not None and hasattr(tree, "children_left"):
        inner = np.flatnonzero(tree.children_left >= 0)
        yield from zip(tree.feature[inner].tolist(), tree.threshold[inner].tolist(), strict=True)
        return
    for predictor in (each for stage in getattr(model, "_predictors", ()) for each in stage):
        nodes = predictor.nodes[predictor.nodes["is_leaf"] == 0]
        yield from zip(nodes["feature_idx"].tolist(), nodes["num_threshold"].tolist(), strict=True)
    for name in ("estimators_", "estimator_", "calibrated_classifiers_", "estimator"):
        held = getattr(model, name, None)
        if held is None:
            continue
        for each in np.ravel(np.asarray(held, dtype=object)) if isinstance(held, list | tuple | np.ndarray) else [held]:
            if each is not model:
                yield from _branches(each)


def _linear(
    estimator: Any, before: Sequence[Any], rows: pd.DataFrame, numbers: Sequence[str]
) -> dict[str, tuple[int, float, float]]:
    """Column → (feature, slope, offset) where the steps before the trees make that one feature out of the column."""
    if not before:
        return {str(name): (at, 1.0, 0.0) for at, name in enumerate(rows.columns) if name in numbers}
    found = {}
    template = rows.iloc[[0]]
    for name in numbers:
        known = rows[name].to_numpy(np.float64)
        known = known[np.isfinite(known)]
        middle = float(np.median(known)) if known.size else 0.0
        points = np.array([middle, middle + 1.0, middle + 2.0])
        try:
            features = np.concatenate([_through(before, template.assign(**{name: [value]})) for value in points])
        except Exception:  # noqa: BLE001, S112 - steps refuse rows with errors of many kinds
            continue
        moved = np.flatnonzero((features != features[0]).any(axis=0))
        if moved.size != 1:
            continue
        first, second, third = features[:, moved[0]]
        if second != first and np.isclose(third - second, second - first, rtol=1e-9):
            slope = float(second - first)
            found[name] = (int(moved[0]), slope, float(first) - slope * middle)
    return found


def _through(steps: Sequence[Any], rows: Any) -> np.ndarray[Any, Any]:
    for step in steps:
        rows = step.transform(rows)
    made = rows.toarray() if hasattr(rows, "toarray") else rows
    return np.asarray(made, dtype=np.float64)
