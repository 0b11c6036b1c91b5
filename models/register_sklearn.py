"""Any fitted scikit-learn classifier becomes a version: `from models.register_sklearn import register_sklearn`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pandas as pd
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer

from models.baseline import training_profile
from models.conversion import convert
from models.register import Candidate, RegistrationRefused, check_against_estimator, register
from models.serving_form import UnfitGraph, input_columns, serving_form
from models.tracking import DEFAULT_TRACKING_URI, Tracking


def register_sklearn(
    estimator: Any,
    rows: pd.DataFrame,
    *,
    model: str,
    columns: Sequence[str] | None = None,
    positive: str | None = None,
    id_column: str | None = None,
    label_column: str | None = None,
    training_rows: pd.DataFrame | None = None,
    tracking_uri: str = DEFAULT_TRACKING_URI,
) -> str:
    """Registers a fitted classifier, or a Pipeline that ends in one, as a new version of `model`; gives the version.

    `rows`: raw rows to compare graph and `predict_proba` on, test rows as a rule, gaps and unknown texts among them
    where files will have any (a gap in a text reaches the graph as ""). `columns`: the inputs in the order that the
    estimator was fitted on; by default its own `feature_names_in_`, or all of `rows`. `training_rows`: what drift is
    measured against later. `positive`: by default the second of two classes. Raises RegistrationRefused where
    skl2onnx cannot convert it, or the graph answers otherwise than the estimator; nothing is registered then.
    """
    names = list(columns if columns is not None else getattr(estimator, "feature_names_in_", rows.columns))
    missing = [name for name in names if name not in rows.columns]
    if missing:
        raise RegistrationRefused(f"rows lack the columns {', '.join(map(str, missing))}")
    rows = rows[names]
    classes = tuple(str(label) for label in estimator.classes_)
    expected = estimator.predict_proba(rows if hasattr(estimator, "feature_names_in_") else rows.to_numpy())
    kind = type(estimator.steps[-1][1] if hasattr(estimator, "steps") else estimator).__name__
    refusals = []
    # Most converters are made for floats; where those are too coarse for thresholds or sums, doubles may do.
    for number in (FloatTensorType, DoubleTensorType):
        try:
            graph = serving_form(_graph(estimator, rows, number), classes, positive=positive, columns=names)
            candidate = Candidate(
                kind=kind,
                graph=graph,
                classes=classes,
                positive=positive if positive is not None or len(classes) > 2 else classes[1],
                id_column=id_column,
                label_column=label_column,
                profile={} if training_rows is None else training_profile(training_rows, input_columns(graph)),
            )
            check_against_estimator(candidate, rows, expected)
        except (RegistrationRefused, UnfitGraph) as refusal:
            refusals.append(str(refusal))
            continue
        tracking = Tracking(tracking_uri)
        with tracking.run(f"register {kind}", {"estimator": kind}, {"kind": kind}):
            return register(candidate, rows, tracking, model, {})
    raise RegistrationRefused("; in doubles: ".join(dict.fromkeys(refusals)))


def _graph(estimator: Any, rows: pd.DataFrame, number: type) -> onnx.ModelProto:
    first = estimator.steps[0][1] if hasattr(estimator, "steps") else estimator
    kinds = [number if np.issubdtype(np.asarray(rows[name]).dtype, np.number) else StringTensorType for name in rows]
    if isinstance(first, ColumnTransformer):  # picks its columns by name
        inputs = [(str(name), kind([None, 1])) for name, kind in zip(rows, kinds, strict=True)]
    elif len(set(kinds)) == 1:
        inputs = [("rows", kinds[0]([None, len(kinds)]))]
    else:
        raise RegistrationRefused(
            "text and number columns together need a ColumnTransformer as the pipeline's first step, so that the graph "
            "knows which is which"
        )
    try:
        return convert(estimator, inputs)
    except Exception as error:  # skl2onnx raises many kinds, and all say that it cannot convert this one
        message = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        raise RegistrationRefused(f"skl2onnx cannot convert this estimator: {message}") from error
