"""Any fitted classifier of scikit-learn's kind becomes a version:
`from models.register_sklearn import register_sklearn`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from models.training.estimators.candidate import sklearn_candidate
from models.training.register import register
from models.training.tracking import DEFAULT_TRACKING_URI, Tracking


def register_sklearn(
    estimator: Any,
    rows: pd.DataFrame,
    *,
    model: str,
    columns: Sequence[str] | None = None,
    positive: Any = None,
    id_column: str | None = None,
    label_column: str | None = None,
    training_rows: pd.DataFrame | None = None,
    tracking_uri: str = DEFAULT_TRACKING_URI,
    artifact_hosts: str = "",
) -> str:
    """Registers a fitted classifier, or a Pipeline that ends in one, as a new version of `model`; gives the version.

    Of scikit-learn, XGBoost, LightGBM or CatBoost, alone or in what scikit-learn puts around them. Columns that it
    drops are no inputs of the version.

    `rows`: raw rows to compare graph and estimator on, test rows as a rule; probes are made from them (gaps, texts that
    were never seen, values at the trees' thresholds). `columns`: the inputs in the order that the estimator was fitted
    on; by default its own `feature_names_in_`, or all of `rows`. `training_rows`: what drift is measured against later,
    and which texts count as known; those of `rows` where it is not given. `positive`: one of the classes, by default
    the second of two. `artifact_hosts`: as UNDERSTUDY_ARTIFACT_HOSTS of a worker.

    Raises RegistrationRefused where it cannot be converted, or the graph answers otherwise than the estimator; the text
    says in a sentence what to do, and nothing is registered.
    """
    candidate = sklearn_candidate(
        estimator,
        rows,
        columns=columns,
        positive=positive,
        id_column=id_column,
        label_column=label_column,
        training_rows=training_rows,
    )
    tracking = Tracking(tracking_uri, artifact_hosts=artifact_hosts)
    with tracking.run(f"register {candidate.kind}", {"estimator": candidate.kind}, {"kind": candidate.kind}):
        return register(candidate, rows, tracking, model, {})
