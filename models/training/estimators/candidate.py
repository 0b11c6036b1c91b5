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
from models.onnx.conversion.compose import convert, convert_in_doubles
from models.onnx.conversion.convert import Inputs, last_step
from models.onnx.conversion.probable import probable
from models.onnx.serving_form import UnfitGraph, input_columns, serving_form
from models.onnx.unfit import UnfitStep
from models.registry.spec import UnfitModel
from models.training.baseline import training_profile
from models.training.estimators.admission import admit, refuse_blanks, refuse_other_width, refuse_taken
from models.training.estimators.agreement import columns_without_gaps
from models.training.estimators.inputs import column_names, graph_inputs, is_boolean, is_zero_one
from models.training.estimators.limited import TookTooLong, within
from models.training.estimators.reasons import reason
from models.training.estimators.rule import OtherRule, decision_of
from models.training.register import TOLERANCE, Candidate, RegistrationRefused
from models.training.shown import shown_texts

CONVERSION_SECONDS = 120.0


class NotConverted(RegistrationRefused):
    """There is no graph to compare."""


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
    names = column_names(estimator, rows) if columns is None else list(map(str, columns))
    missing = [name for name in names if name not in rows.columns]
    refuse_other_width(estimator, names)
    if missing:
        raise RegistrationRefused(
            f"the rows lack the columns {', '.join(map(repr, missing))}, which the estimator was fitted on: add them"
        )
    rows = rows[names]
    refuse_blanks(rows)
    refuse_taken(names)
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
    refusals: list[RegistrationRefused] = []
    for _, number, converted in WAYS:
        try:
            inputs = graph_inputs(inner, rows, number, booleans)
            made = _graph(inner, partial(converted, inner, inputs))
            needed = [value.name for value in made.graph.input]
            graph = serving_form(made, classes, positive=chosen, columns=needed, booleans=booleans, decision=decision)
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
                flags={name: name in booleans for name in needed if name in booleans or is_zero_one(shown[name])},
            )
            closed = columns_without_gaps(candidate, estimator, rows, decision, TOLERANCE)
        except UnfitModel as error:
            refusals.append(NotConverted(reason(inner, error)))
        except UnfitGraph as error:
            refusals.append(NotConverted(str(error)))
        except RegistrationRefused as refusal:
            refusals.append(refusal)
        else:
            return replace(candidate, no_gaps=closed)
    # What was converted and then parted from its estimator says more than what could not be converted in another way.
    raise next((refusal for refusal in refusals if not isinstance(refusal, NotConverted)), refusals[0])


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


def _graph(estimator: Any, convert_it: Callable[[], onnx.ModelProto]) -> onnx.ModelProto:
    try:
        return within(CONVERSION_SECONDS, convert_it)
    except TookTooLong as error:
        raise NotConverted(f"skl2onnx does not come to an end with this estimator: {error}") from None
    except UnfitStep as error:
        raise NotConverted(f"{type(last_step(estimator)).__name__} cannot be served as it is: {error}") from None
    except Exception as error:  # skl2onnx raises many kinds, and all say that it cannot convert this one
        raise NotConverted(reason(estimator, error)) from error
