"""What cannot be registered whatever its graph says: no fitted classifier with probabilities, no table of rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from models.onnx.conversion.convert import last_step
from models.onnx.conversion.probable import probable
from models.onnx.trees.known import library
from models.registry.spec import LABEL_OUTPUT, PROBABILITIES_OUTPUT
from models.scoring.table.gaps import trimmed
from models.training.register import RegistrationRefused

_CLASSIFIERS = {"xgboost": "XGBClassifier", "lightgbm": "LGBMClassifier", "catboost": "CatBoostClassifier"}


def admit(estimator: Any, rows: Any) -> None:
    """Raises RegistrationRefused, with what to do, unless this is a fitted classifier of one answer, and a table."""
    if not isinstance(rows, pd.DataFrame):
        raise RegistrationRefused(
            f"the rows are {type(rows).__name__}, and a version knows its columns by name: give a DataFrame, "
            + ("rows.to_frame()" if isinstance(rows, pd.Series) else "pd.DataFrame(rows, columns=[…])")
        )
    if not len(rows):
        raise RegistrationRefused("there is no row to compare the estimator and its graph on: give some")
    kind = type(estimator).__name__
    try:
        check_is_fitted(estimator)
    except NotFittedError:
        raise RegistrationRefused(f"this {kind} was never fitted: call fit first") from None
    except TypeError:
        if (held_in := _CLASSIFIERS.get(library(estimator) or "")) is not None:
            raise RegistrationRefused(
                f"this {kind} knows no classes: give the {held_in} that it comes from, or fit one"
            ) from None
        raise RegistrationRefused(
            f"{kind} is no estimator of scikit-learn's, which is what skl2onnx cannot convert: register its own ONNX "
            f"export with `python -m models register`"
        ) from None
    _refuse_other_answers(estimator, type(last_step(probable(estimator))).__name__)


def _refuse_other_answers(estimator: Any, kind: str) -> None:
    classes: Any = getattr(estimator, "classes_", ())
    if isinstance(classes, list) and len(classes) and np.ndim(classes[0]) > 0:
        raise RegistrationRefused(f"{kind} gives several answers to a row: register one classifier for each")
    if not len(classes):
        raise RegistrationRefused(
            f"{kind} has no classes, and a version answers with one of some: fit a classifier, on bands of the number "
            f"(pd.cut) where the answer is one"
        )
    if len(classes) == 1:
        raise RegistrationRefused(f"{kind} knows {str(classes[0])!r} alone: fit it on rows of two classes or more")
    if not hasattr(estimator, "predict_proba"):
        remedy = "fit it with voting='soft'" if hasattr(estimator, "voting") else "put it into CalibratedClassifierCV"
        raise RegistrationRefused(f"{kind} gives no probabilities (predict_proba), which a version needs: {remedy}")


def refuse_other_width(estimator: Any, names: Sequence[str]) -> None:
    """Raises RegistrationRefused where an estimator that knows no names was fitted on another number of columns."""
    wanted = getattr(estimator, "n_features_in_", None)
    if wanted and not hasattr(estimator, "feature_names_in_") and wanted != len(names):
        raise RegistrationRefused(
            f"the estimator was fitted on {wanted} columns, and {len(names)} are given: name its own in their order "
            f"(columns=[…])"
        )


def refuse_taken(names: Sequence[str]) -> None:
    """Raises RegistrationRefused where a column is called as what a version answers with."""
    for name in (LABEL_OUTPUT, PROBABILITIES_OUTPUT):
        if name in names:
            raise RegistrationRefused(
                f"column {name!r} is called as what a version answers with: rename it, in the files too, and fit again"
            )


def refuse_blanks(rows: pd.DataFrame) -> None:
    """Raises RegistrationRefused where a text has blanks at its ends: a worker takes them off, in every file."""
    for name in rows.columns:
        for cell in rows[name].unique() if rows[name].dtype.kind not in "biufc" else ():
            if isinstance(cell, str) and trimmed(cell) != cell:
                raise RegistrationRefused(
                    f"column {str(name)!r} has texts with blanks at their ends ({cell[:40]!r}), which a worker takes "
                    f"off: train on texts without (pd.read_csv(…, skipinitialspace=True), or .str.strip()), and "
                    f"give such rows here"
                )
