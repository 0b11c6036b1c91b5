"""Classifiers that hold others: votes, stacks, and calibrations, of whole pipelines too."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto
from sklearn.pipeline import Pipeline

from models.onnx.columns import Given
from models.onnx.conversion.probable import probable
from models.onnx.trees.known import boosted_trees
from models.onnx.unfit import UnfitStep

if TYPE_CHECKING:
    from models.onnx.conversion.compose import Composer


def voted(composer: Composer, voting: Any, given: Given) -> str:
    """The weighted mean of a VotingClassifier's probabilities."""
    weights = voting._weights_not_none
    shares = np.ones(len(voting.estimators_)) if weights is None else np.asarray(weights, dtype=np.float64)
    return _mean(composer, [composer.probabilities(each, given) for each in voting.estimators_], shares)


def stacked(composer: Composer, stacking: Any, given: Given) -> str:
    """A StackingClassifier's last estimator on the answers of the others."""
    parts, pieces, width = composer.parts, [], 0
    for each, method in zip(stacking.estimators_, stacking.stack_method_, strict=True):
        if method == "predict_proba":
            made = _double(composer, composer.probabilities(each, given))
            wide = len(each.classes_)
            if len(stacking.classes_) == 2:
                made, wide = _last_column(composer, made), 1
        elif (found := _response(composer, each, given)) is not None:
            made, wide = found, 1 if len(each.classes_) == 2 else len(each.classes_)
        else:
            raise UnfitStep(
                f"StackingClassifier takes the {method} of {type(each).__name__}, which cannot be converted: put that "
                f"estimator into CalibratedClassifierCV"
            )
        pieces.append(made)
        width += wide
    if stacking.passthrough:
        if given.texts:
            raise UnfitStep("StackingClassifier passes columns of texts through: fit it with passthrough=False")
        pieces.append(_double(composer, given.matrix(parts)))
        width += given.width
    return composer.probabilities(stacking.final_estimator_, Given((parts.add("Concat", *pieces, axis=1),), width))


def bagged(composer: Composer, bagging: Any, given: Given) -> str:
    """The mean of a BaggingClassifier's estimators, each on its own features."""
    if any(list(each.classes_) != list(range(len(bagging.classes_))) for each in bagging.estimators_):
        return composer.by_skl2onnx(bagging, given)
    made = []
    for each, features in zip(bagging.estimators_, bagging.estimators_features_, strict=True):
        places = composer.parts.constant(np.asarray(features, dtype=np.int64))
        held = composer.parts.add("Gather", given.matrix(composer.parts), places, axis=1)
        made.append(composer.probabilities(each, Given((held,), len(features))))
    return _mean(composer, made, np.ones(len(made)))


def one_against_rest(composer: Composer, rest: Any, given: Given) -> str:
    """The shares of a OneVsRestClassifier's estimators, of which each knows one class."""
    if any(not hasattr(each, "classes_") for each in rest.estimators_):  # one that was never shown two classes
        return composer.by_skl2onnx(rest, given)
    made = [composer.probabilities(each, given) for each in rest.estimators_]
    return _normalised(composer, [_last_column(composer, _double(composer, each)) for each in made])


def calibrated(composer: Composer, calibration: Any, given: Given) -> str:
    """The mean of a CalibratedClassifierCV's calibrated classifiers."""
    fitted = calibration.calibrated_classifiers_
    made = [_calibrated_one(composer, calibration, each, given) for each in fitted]
    return _mean(composer, made, np.ones(len(fitted)))


def _calibrated_one(composer: Composer, calibration: Any, each: Any, given: Given) -> str:
    inner, parts = probable(each.estimator), composer.parts
    if isinstance(inner, Pipeline):
        given, inner = composer.before(inner, given), inner.steps[-1][1]
        one = copy(each)
        one.estimator = inner
        return _calibrated_one(composer, calibration, one, given)
    response = _response(composer, inner, given)
    if response is None and not hasattr(inner, "decision_function"):
        response = _double(composer, composer.probabilities(inner, given))
        if each.method == "temperature":
            response = parts.add("Log", parts.add("Add", response, parts.constant(np.array(1e-12))))
        elif len(inner.classes_) == 2:
            response = _last_column(composer, response)
    elif response is not None and each.method == "temperature" and len(inner.classes_) == 2:
        response = parts.add("Concat", parts.add("Neg", response), response, axis=1)
    if response is None or list(inner.classes_) != list(calibration.classes_):
        alone = copy(calibration)
        one = copy(each)
        one.estimator = inner
        alone.calibrated_classifiers_ = [one]
        return composer.by_skl2onnx(alone, given)
    if each.method == "temperature":
        return parts.add(
            "Softmax", parts.add("Mul", response, parts.constant(np.array(each.calibrators[0].beta_))), axis=1
        )
    return _normalised(composer, [_curve(composer, curve, response, at) for at, curve in enumerate(each.calibrators)])


def _response(composer: Composer, estimator: Any, given: Given) -> str | None:
    """What its decision_function gives, doubles [N, 1] or [N, K]; None where that is not known here."""
    estimator, parts = probable(estimator), composer.parts
    if isinstance(estimator, Pipeline):
        return _response(composer, estimator.steps[-1][1], composer.before(estimator, given))
    if not hasattr(estimator, "decision_function"):
        return None
    if (boosted := boosted_trees(estimator, given.texts)) is not None:
        return _double(composer, composer.sums(boosted, given))
    if not (hasattr(estimator, "coef_") and hasattr(estimator, "intercept_")) or hasattr(estimator, "kernel"):
        return None
    slopes = np.asarray(estimator.coef_, dtype=np.float64)
    slopes = slopes.toarray() if hasattr(slopes, "toarray") else slopes
    product = parts.add("MatMul", _double(composer, given.matrix(parts)), parts.constant(slopes.T))
    return parts.add("Add", product, parts.constant(np.asarray(estimator.intercept_, dtype=np.float64).reshape(1, -1)))


def _curve(composer: Composer, curve: Any, response: str, at: int) -> str:
    """One class's calibrated probability [N, 1]."""
    parts = composer.parts
    value = parts.add("Gather", response, parts.constant(np.array([at], dtype=np.int64)), axis=1)
    if hasattr(curve, "a_"):
        steep = parts.add("Mul", value, parts.constant(np.array(-float(curve.a_))))
        return parts.add("Sigmoid", parts.add("Sub", steep, parts.constant(np.array(float(curve.b_)))))
    known, answers = (np.asarray(cells, dtype=np.float64) for cells in (curve.X_thresholds_, curve.y_thresholds_))
    if len(known) == 1:
        return parts.add("Add", parts.add("Mul", value, parts.constant(np.array(0.0))), parts.constant(answers[:1]))
    held = parts.add("Max", value, parts.constant(known[:1]))
    held = parts.add("Min", held, parts.constant(known[-1:]))
    passed = parts.add("Cast", parts.add("GreaterOrEqual", held, parts.constant(known[1:-1][np.newaxis])), to=7)
    axis = parts.constant(np.array([1], dtype=np.int64))
    piece = parts.add("ReduceSum", passed, axis, keepdims=1)
    start, slope = known[:-1], np.diff(answers) / np.diff(known)
    beyond = parts.add("Sub", held, parts.add("Gather", parts.constant(start), piece))
    risen = parts.add("Mul", beyond, parts.add("Gather", parts.constant(slope), piece))
    return parts.add("Add", risen, parts.add("Gather", parts.constant(answers[:-1]), piece))


def _normalised(composer: Composer, columns: list[str]) -> str:
    """[N, K] out of one column of the second of two classes, or of one for each; all alike where they are all 0."""
    parts, one = composer.parts, composer.parts.constant(np.array(1.0))
    if len(columns) == 1:
        return parts.add("Concat", parts.add("Sub", one, columns[0]), columns[0], axis=1)
    stacked_up = parts.add("Concat", *columns, axis=1)
    whole = parts.add("ReduceSum", stacked_up, parts.constant(np.array([1], dtype=np.int64)), keepdims=1)
    nothing = parts.add("Equal", whole, parts.constant(np.array(0.0)))
    share = parts.add("Div", stacked_up, parts.add("Where", nothing, one, whole))
    return parts.add("Where", nothing, parts.constant(np.array(1.0 / len(columns))), share)


def _mean(composer: Composer, members: list[str], shares: np.ndarray[Any, Any]) -> str:
    parts = composer.parts
    parted = [
        parts.add("Mul", _double(composer, member), parts.constant(np.array(share)))
        for member, share in zip(members, shares / shares.sum(), strict=True)
    ]
    return parts.add("Sum", *parted)


def _double(composer: Composer, value: str) -> str:
    return composer.parts.add("Cast", value, to=TensorProto.DOUBLE)


def _last_column(composer: Composer, value: str) -> str:
    return composer.parts.add("Gather", value, composer.parts.constant(np.array([1], dtype=np.int64)), axis=1)
