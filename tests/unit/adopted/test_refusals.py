"""What cannot be served is refused with one sentence that says what to do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.cluster import KMeans
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier, VotingClassifier
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, SplineTransformer, StandardScaler
from sklearn.svm import SVC, LinearSVC

from tests.unit.adopted.models import encoded, histogram, logistic, scaled
from tests.unit.adopted.penguins import CODES, IS_GENTOO, NUMBERS, TABLE, TEXTS, said

pytestmark = pytest.mark.filterwarnings("ignore")
ROWS = TABLE[NUMBERS].fillna(0)
TWO_ANSWERS = np.column_stack([CODES, IS_GENTOO])
NO_GRAPH, NO_CODE = "which no graph can hold", "whose code no graph can hold"
ON_THE_TABLE = "take it out, and do what it does on the table, before fit and before a file is uploaded"


class Squares(TransformerMixin, BaseEstimator):
    """A step of somebody's own."""

    def fit(self, rows: Any, answers: Any = None) -> Any:
        self.fitted_ = True
        return self

    def transform(self, rows: Any) -> Any:
        return np.asarray(rows) ** 2


class Even(ClassifierMixin, BaseEstimator):
    """A classifier of somebody's own."""

    def fit(self, rows: Any, answers: Any) -> Any:
        self.classes_ = np.unique(answers)
        return self

    def predict_proba(self, rows: Any) -> Any:
        return np.full((len(rows), len(self.classes_)), 1 / len(self.classes_))

    def predict(self, rows: Any) -> Any:
        return np.full(len(rows), self.classes_[0])


@pytest.mark.parametrize(
    ("estimator", "sentence"),
    [
        (make_pipeline(StandardScaler(), LinearRegression()), "LinearRegression has no classes, and a version answers"),
        (KMeans(2), "KMeans has no classes, and a version answers with one of some: fit a classifier"),
        (
            make_pipeline(StandardScaler(), LinearSVC()),
            "LinearSVC gives no probabilities (predict_proba), which a versi",
        ),
        (
            GridSearchCV(LinearSVC(), {"C": [1]}, cv=2),
            "LinearSVC gives no probabilities (predict_proba), which a version",
        ),
        (
            VotingClassifier([("a", logistic())]),
            "gives no probabilities (predict_proba), which a version needs: fit it wit",
        ),
        (
            SVC(),
            "which a version needs: put it into CalibratedClassifierCV",
        ),
        (
            make_pipeline(FunctionTransformer(np.log1p), logistic()),
            f"holds code of yours, which no graph can hold: {ON_THE_TABLE}",
        ),
        (
            make_pipeline(Squares(), logistic()),
            f"Squares is a class of your own, {NO_CODE}: {ON_THE_TABLE}",
        ),
        (Even(), f"Even is a class of your own, {NO_CODE}: register an ONNX export of your own"),
        (
            make_pipeline(SplineTransformer(), logistic()),
            "no graph can be made of SplineTransformer: take",
        ),
        (make_pipeline(KNNImputer(), logistic()), "which no graph holds: take SimpleImputer instead"),
    ],
    ids=lambda one: str(one)[:40],
)
def test_an_estimator_that_cannot_be_served(estimator: Any, sentence: str) -> None:
    told = said(estimator.fit(ROWS, CODES), ROWS)
    assert sentence in told
    assert told.count("; ") == 0


@pytest.mark.parametrize("estimator", [MultiOutputClassifier(logistic()), RandomForestClassifier(2)], ids=str)
def test_several_answers_to_a_row(estimator: Any) -> None:
    assert said(estimator.fit(ROWS, TWO_ANSWERS), ROWS) == (
        f"{type(estimator).__name__} gives several answers to a row: register one classifier for each"
    )


def test_one_class_alone() -> None:
    told = said(RandomForestClassifier(2).fit(ROWS, np.zeros(len(ROWS), dtype=int)), ROWS)
    assert told == "RandomForestClassifier knows '0' alone: fit it on rows of two classes or more"


@pytest.mark.parametrize(
    "estimator", [encoded(logistic()), GridSearchCV(encoded(logistic()), {})], ids=["pipeline", "search"]
)
def test_what_was_never_fitted(estimator: Any) -> None:
    assert said(estimator, TABLE).endswith("was never fitted: call fit first")


def test_rows_that_are_no_table_and_columns_that_are_not_there() -> None:
    fitted = logistic().fit(ROWS.to_numpy(), CODES)
    assert "give a DataFrame, pd.DataFrame(rows, columns=[…])" in said(fitted, ROWS.to_numpy())
    assert "fitted on 3 columns, and 1 are given: name its own in their order" in said(fitted, ROWS[["depth"]])
    piped = encoded(logistic(), scaled).fit(TABLE, CODES)
    assert said(piped, TABLE[NUMBERS]) == (
        "the rows lack the columns 'island', 'sex', which the estimator was fitted on: add them"
    )


def test_texts_and_numbers_in_one_matrix() -> None:
    rows = TABLE[["sex", "depth"]].dropna()
    fitted = make_pipeline(OneHotEncoder(handle_unknown="ignore"), logistic()).fit(rows, CODES[: len(rows)])
    assert "together need a ColumnTransformer as the pipeline's first step" in said(fitted, rows)


def test_a_column_called_as_what_a_version_answers_with() -> None:
    rows = ROWS.rename(columns={"depth": "label"})
    assert said(logistic().fit(rows, CODES), rows).endswith("rename it, in the files too, and fit again")


def test_texts_that_are_passed_on_and_names_that_are_looked_up_later() -> None:
    rows = TABLE[[*NUMBERS, *TEXTS]].astype(dict.fromkeys(TEXTS, "category"))
    first = make_column_transformer(
        (SimpleImputer(), NUMBERS), remainder="passthrough", verbose_feature_names_out=False
    ).set_output(transform="pandas")
    passed = make_pipeline(first, histogram(categorical_features="from_dtype")).fit(rows, CODES)
    assert said(passed, rows).startswith("HistGradientBoostingClassifier is given texts by the steps before it")
    twice = make_pipeline(first, *encoded(logistic(), "passthrough").steps[0][1:], logistic()).fit(rows, CODES)
    assert said(twice, rows).endswith("make one of it and the first, with a Pipeline for each group of columns")


def test_a_step_within_a_column_transformer_is_named() -> None:
    held = make_pipeline(SimpleImputer(), FunctionTransformer(np.log1p))
    fitted = encoded(LogisticRegression(max_iter=300), held).fit(TABLE, CODES)
    assert said(fitted, TABLE).startswith("FunctionTransformer holds code of yours")
