"""What cannot be registered whatever its graph says: no fitted classifier with probabilities, no table of rows."""

from __future__ import annotations

from typing import Any

import pandas as pd
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from models.onnx.conversion.convert import last_step
from models.scoring.table.gaps import trimmed
from models.training.register import RegistrationRefused


def admit(estimator: Any, rows: Any) -> None:
    """Raises RegistrationRefused, with what to do, unless this is a fitted classifier of one answer, and a table."""
    kind = type(estimator).__name__
    if not isinstance(rows, pd.DataFrame):
        raise RegistrationRefused(
            f"the rows are {type(rows).__name__}, and a version knows its columns by name: give a DataFrame, "
            f"pd.DataFrame(rows, columns=[…])"
        )
    if not len(rows):
        raise RegistrationRefused("there is no row to compare the estimator and its graph on: give some")
    try:
        check_is_fitted(estimator)
    except NotFittedError:
        raise RegistrationRefused(f"this {kind} was never fitted: call fit first") from None
    except TypeError:
        raise RegistrationRefused(
            f"{kind} is no estimator of scikit-learn's, which is what skl2onnx cannot convert: register its own ONNX "
            f"export with `python -m models register`"
        ) from None
    if not hasattr(estimator, "classes_"):
        raise RegistrationRefused(f"{kind} has no classes: a version answers with one of some classes, not a number")
    if isinstance(estimator.classes_, list):
        raise RegistrationRefused(f"{kind} gives several answers to a row: register one classifier for each")
    if not hasattr(estimator, "predict_proba"):
        raise RegistrationRefused(
            f"{type(last_step(estimator)).__name__} gives no probabilities (predict_proba), which a version needs: "
            f"put it into CalibratedClassifierCV"
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
