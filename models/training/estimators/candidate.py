"""A fitted scikit-learn classifier as a candidate for registration: converted, and compared with itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import onnx
import pandas as pd
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

from models.evidence.record.sketch import Sketch, training_sketch
from models.onnx.conversion.convert import Inputs, convert, convert_in_doubles, last_step
from models.onnx.serving_form import UnfitGraph, input_columns, serving_form
from models.registry.spec import UnfitModel
from models.training.baseline import training_profile
from models.training.estimators.admission import admit, refuse_blanks
from models.training.estimators.agreement import columns_without_gaps
from models.training.estimators.inputs import graph_inputs, is_boolean, is_zero_one
from models.training.estimators.limited import TookTooLong, within
from models.training.estimators.rule import OtherRule, decision_of, probable
from models.training.register import TOLERANCE, Candidate, RegistrationRefused
from models.training.shown import shown_texts

CONVERSION_SECONDS = 120.0
# Most converters are made for floats, which are too coarse for some thresholds and sums.
WAYS: tuple[tuple[str, type, Callable[[Any, Inputs], onnx.ModelProto]], ...] = (
    ("in doubles up to the last step", DoubleTensorType, convert_in_doubles),
    ("in floats", FloatTensorType, convert),
    ("in doubles", DoubleTensorType, convert),
)


def sklearn_candidate(
    estimator: Any,
    rows: pd.DataFrame,
    *,
    columns: Sequence[str] | None = None,
    positive: Any = None,
    id_column: str | None = None,
    label_column: str | None = None,
    training_rows: pd.DataFrame | None = None,
) -> Candidate:
    """The candidate whose graph answers as the estimator does, on `rows` and on probes made from them.

    The parameters are those of `register_sklearn`. Raises RegistrationRefused.
    """
    admit(estimator, rows)
    names = [str(name) for name in (columns if columns is not None else getattr(estimator, "feature_names_in_", rows))]
    missing = [name for name in names if name not in rows.columns]
    if missing:
        raise RegistrationRefused(f"rows lack the columns {', '.join(map(str, missing))}")
    rows = rows[names]
    refuse_blanks(rows)
    classes = tuple(str(label) for label in estimator.classes_)
    chosen = _positive(positive, classes)
    shown = rows if training_rows is None else training_rows[names]
    booleans = [name for name in names if is_boolean(rows[name] if rows[name].notna().any() else shown[name])]
    inner = probable(estimator)
    kind = type(last_step(inner)).__name__
    try:
        decision = decision_of(estimator)
    except OtherRule as error:
        raise RegistrationRefused(str(error)) from None
    refusals = []
    for way, number, converted in WAYS:
        try:
            inputs = graph_inputs(inner, rows, number, booleans)
            made = _graph(partial(converted, inner, inputs))
            graph = serving_form(made, classes, positive=chosen, columns=names, booleans=booleans, decision=decision)
            types = input_columns(graph)
            candidate = Candidate(
                kind=kind,
                graph=graph,
                classes=classes,
                positive=chosen,
                id_column=id_column,
                label_column=label_column,
                profile={} if training_rows is None else training_profile(shown, types),
                texts=shown_texts(shown, types),
                training_ids=_ids(training_rows, id_column),
                flags={name: name in booleans for name in names if name in booleans or is_zero_one(shown[name])},
            )
            closed = columns_without_gaps(candidate, estimator, rows, decision, TOLERANCE)
        except (RegistrationRefused, UnfitGraph, UnfitModel) as refusal:
            refusals.append(f"{way}: {refusal}")
        else:
            return replace(candidate, no_gaps=closed)
    raise RegistrationRefused("; ".join(dict.fromkeys(refusals)))


def _ids(training_rows: pd.DataFrame | None, id_column: str | None) -> Sketch | None:
    if training_rows is None or id_column is None or id_column not in training_rows:
        return None
    return training_sketch(training_rows[id_column].astype(str).to_numpy())


def _positive(given: Any, classes: Sequence[str]) -> str | None:
    if given is None:
        return classes[1] if len(classes) == 2 else None
    if str(given) not in classes:
        raise RegistrationRefused(f"the positive class {str(given)!r} is none of {', '.join(map(repr, classes))}")
    return str(given)


def _graph(convert_it: Callable[[], onnx.ModelProto]) -> onnx.ModelProto:
    try:
        return within(CONVERSION_SECONDS, convert_it)
    except TookTooLong as error:
        raise RegistrationRefused(f"skl2onnx does not come to an end with this estimator: {error}") from None
    except Exception as error:  # skl2onnx raises many kinds, and all say that it cannot convert this one
        message = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        raise RegistrationRefused(f"skl2onnx cannot convert this estimator: {message}") from error
