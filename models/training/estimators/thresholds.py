"""The values of each column at which a fitted model's trees branch, found through the preprocessing before them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from models.onnx.conversion.compose import members
from models.onnx.conversion.probable import probable
from models.onnx.trees.boosted import branches
from models.onnx.trees.known import boosted_trees
from models.onnx.unfit import UnfitStep

MOST = 200  # of one column


def thresholds(estimator: Any, rows: pd.DataFrame, texts: Sequence[str]) -> dict[str, np.ndarray[Any, Any]]:
    """Column of numbers → thresholds, and for each the nearest doubles and floats on its two sides.

    Known: the trees of scikit-learn, XGBoost, LightGBM and CatBoost, alone, in ensembles or in ensembles of Pipelines
    whose steps before them take each number to a linear function of it alone (or leave it). Other columns are left out.
    """
    found: dict[str, list[np.ndarray[Any, Any]]] = {}
    for steps, model in _paths(estimator):
        of_feature: dict[int, list[float]] = {}
        for feature, value in _branches(model):
            of_feature.setdefault(feature, []).append(value)
        if not of_feature:
            continue
        numbers = [name for name in rows.columns if name not in texts]
        for name, (feature, slope, offset) in _linear(steps, rows, numbers).items():
            values = np.unique((np.array(of_feature.get(feature, [])) - offset) / slope)
            found.setdefault(name, []).append(values[np.isfinite(values)])
    return {name: _around(np.unique(np.concatenate(values))) for name, values in found.items() if any(map(len, values))}


def _around(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    values = values[:: max(1, values.size // MOST)]
    single = values.astype(np.float32)
    sides = [np.nextafter(values, -np.inf), np.nextafter(values, np.inf), single]
    sides += [np.nextafter(single, np.float32(-np.inf)), np.nextafter(single, np.float32(np.inf))]
    return np.concatenate([values, *(side.astype(np.float64) for side in sides)])


def _paths(estimator: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Each classifier that is no Pipeline, with the steps before it."""
    estimator = probable(estimator)
    if isinstance(estimator, Pipeline):
        steps = (step for _, step in estimator.steps[:-1] if step not in (None, "passthrough"))
        yield from _paths(estimator.steps[-1][1], (*before, *steps))
    elif held := members(estimator):
        for member in held:
            yield from _paths(member, before)
    else:
        yield before, estimator


def _branches(model: Any) -> Iterator[tuple[int, float]]:
    """(feature, threshold) of each branch of the trees in `model`, looked for in the estimators that it holds."""
    boosted = None
    with suppress(TypeError):  # what is no estimator may hold some
        try:
            check_is_fitted(model)
            boosted = boosted_trees(model)
        except (NotFittedError, UnfitStep):  # what the fitted ones are copies of; one of categories that are not given
            return
    if boosted is not None:
        for feature, value in branches(boosted):
            if not isinstance(value, frozenset):
                yield (feature if boosted.order is None else boosted.order[feature]), value
        return
    tree = getattr(model, "tree_", None)
    if tree is not None and hasattr(tree, "children_left"):
        inner = np.flatnonzero(tree.children_left >= 0)
        yield from zip(tree.feature[inner].tolist(), tree.threshold[inner].tolist(), strict=True)
        return
    for name in ("estimators_", "estimator_", "calibrated_classifiers_", "estimator"):
        held = getattr(model, name, None)
        if held is None:
            continue
        for each in np.ravel(np.asarray(held, dtype=object)) if isinstance(held, list | tuple | np.ndarray) else [held]:
            if each is not model:
                yield from _branches(each)


def _linear(before: Sequence[Any], rows: pd.DataFrame, numbers: Sequence[str]) -> dict[str, tuple[int, float, float]]:
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
