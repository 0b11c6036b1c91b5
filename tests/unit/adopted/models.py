"""Models as people fit them: those of XGBoost, LightGBM and CatBoost, bare or at the end of a pipeline."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from tests.emulators import missing
from tests.unit.adopted.penguins import CODES, LATER, NUMBERS, TABLE, TEXTS

Case = Callable[[], tuple[Any, ...]]  # estimator, rows to check it with, and rows that come later


def xgb(**named: Any) -> Any:
    from xgboost import XGBClassifier

    return XGBClassifier(**{"n_estimators": 20, "max_depth": 4, "n_jobs": 1, **named})


def lgbm(**named: Any) -> Any:
    from lightgbm import LGBMClassifier

    return LGBMClassifier(**{"n_estimators": 20, "num_leaves": 15, "verbose": -1, "n_jobs": 1, **named})


def cat(**named: Any) -> Any:
    from catboost import CatBoostClassifier

    quiet = {"verbose": 0, "allow_writing_files": False, "thread_count": 1}
    return CatBoostClassifier(**{"iterations": 20, "depth": 4, **quiet, **named})


def encoded(last: Any, numbers: Any = "passthrough", texts: Any = None) -> Any:
    texts = OneHotEncoder(handle_unknown="ignore", sparse_output=False) if texts is None else texts
    return make_pipeline(ColumnTransformer([("texts", texts, TEXTS), ("numbers", numbers, NUMBERS)]), last)


def sparse(last: Any, numbers: Any = "passthrough") -> Any:
    """As most people write it: what an OneHotEncoder makes by itself is a sparse matrix."""
    texts = OneHotEncoder(handle_unknown="ignore")
    steps = [("texts", texts, TEXTS), ("numbers", numbers, NUMBERS)]
    return make_pipeline(ColumnTransformer(steps, sparse_threshold=1.0), last)


def categories(table: pd.DataFrame) -> pd.DataFrame:
    return table[[*NUMBERS, *TEXTS]].astype(dict.fromkeys(TEXTS, "category"))


def histogram(**named: Any) -> Any:
    return HistGradientBoostingClassifier(**{"max_iter": 9, "early_stopping": False, **named})


def forest(**named: Any) -> Any:
    return RandomForestClassifier(**{"n_estimators": 10, "random_state": 0, **named})


def logistic() -> Any:
    return LogisticRegression(max_iter=300)


def needs(library: str) -> None:
    """Skips the test, or fails it where tools are required, unless the library is there."""
    if importlib.util.find_spec(library) is None:
        missing(f"{library} is not installed: make adopt")


def each(cases: dict[str, Case], slow: tuple[str, ...] = ()) -> Any:
    """A test for each of the cases, `case`; those named `slow` are marked so."""
    marks = dict.fromkeys(slow, pytest.mark.slow)
    made = [pytest.param(case, id=name, marks=marks.get(name, ())) for name, case in cases.items()]
    return pytest.mark.parametrize("case", made)


def on(rows: pd.DataFrame, answers: Any, make: Callable[[], Any], answered: int = 0) -> Case:
    return lambda: (make().fit(rows, answers), rows, LATER, answered)


def early(make: Any) -> Case:
    def fitted() -> tuple[Any, pd.DataFrame]:
        rows = TABLE[NUMBERS]
        return make(rows), rows

    return fitted


def with_zeros() -> pd.DataFrame:
    rows = TABLE[NUMBERS].fillna(0.0)
    rows["few"] = np.where(np.arange(len(rows)) % 3 == 0, CODES * 1.0, 0.0)
    return rows


PLAIN = TABLE.assign(island=TABLE.island.replace("Île", "Ile"))
ordinal = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2)
scaled = make_pipeline(SimpleImputer(), StandardScaler())
codes = TABLE[NUMBERS].assign(code=TABLE.island.map({"Biscoe": 0, "Dream": 3, "Torgersen": 7, "Île": 9}))
