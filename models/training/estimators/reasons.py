"""Why an estimator cannot be converted, in one sentence that says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from skl2onnx._supported_operators import sklearn_operator_name_map
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from models.onnx.conversion import texts
from models.onnx.conversion.compose import picks_columns
from models.onnx.conversion.convert import last_step
from models.onnx.trees.known import library
from models.scoring.session import first_line, without_locale

_HOLDERS = (
    "steps",
    "transformers_",
    "transformer_list",
    "estimators_",
    "calibrated_classifiers_",
    "best_estimator_",
    "estimator_",
    "final_estimator_",
)
_ON_THE_TABLE = "take it out, and do what it does on the table, before fit and before a file is uploaded"
_EXPORT = "register an ONNX export of your own with `python -m models register`"
_INSTEAD = {"KNNImputer": "take SimpleImputer instead", "IterativeImputer": "take SimpleImputer instead"}


def reason(estimator: Any, error: Exception) -> str:
    """Of an error that skl2onnx or onnxruntime raised about a fitted estimator, or about its graph."""
    message = first_line(error)
    if "needs the locale" in message:
        return f"a model of texts {without_locale(texts.LOCALE)}"
    if "could not convert string to float" in message:
        return (
            f"{type(last_step(estimator)).__name__} is given texts by the steps before it, which a graph cannot pass "
            f"on: have an encoder among them (OrdinalEncoder, OneHotEncoder)"
        )
    for step in _held(estimator, set()):
        if isinstance(step, Pipeline) and any(picks_columns(later) for _, later in step.steps[1:]):
            return (
                "a ColumnTransformer behind another step looks for names of columns that a graph has no more: make one "
                "of it and the first, with a Pipeline for each group of columns"
            )
        if isinstance(step, Pipeline):
            continue
        kind = type(step).__name__
        if isinstance(step, FunctionTransformer) and step.func is not None:
            return f"{kind} holds code of yours, which no graph can hold: {_ON_THE_TABLE}"
        if kind in _INSTEAD:
            return f"{kind} looks each row up among those of the training, which no graph holds: {_INSTEAD[kind]}"
        if type(step) not in sklearn_operator_name_map and library(step) is None:
            if not type(step).__module__.startswith("sklearn."):
                remedy = _EXPORT if hasattr(step, "predict") else _ON_THE_TABLE
                return f"{kind} is a class of your own, whose code no graph can hold: {remedy}"
            return f"no graph can be made of {kind}: take another step instead, or {_ON_THE_TABLE}"
    return f"no graph can be made of it ({message}): take another step instead, or {_EXPORT}"


def _held(held: Any, seen: set[int]) -> Iterator[Any]:
    """The fitted estimators in an estimator that take part in its answers, the innermost first; no mere containers."""
    if id(held) in seen or isinstance(held, str) or held is None:
        return
    seen.add(id(held))
    if isinstance(held, list | tuple):
        for each in held:
            yield from _held(each, seen)
    elif isinstance(held, BaseEstimator) or hasattr(held, "estimator"):
        inner = [getattr(held, name) for name in _HOLDERS if hasattr(held, name)]
        for each in inner or [getattr(held, "estimator", None)]:
            yield from _held(each, seen)
        if isinstance(held, BaseEstimator) and (not inner or isinstance(held, Pipeline)):
            yield held
