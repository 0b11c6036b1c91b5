"""XGBoost's classifiers are served equal on every row: float32, gaps the learned way, up to the best iteration."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (
    VotingClassifier,
)
from sklearn.model_selection import (
    GridSearchCV,
    TunedThresholdClassifierCV,
)

from tests.unit.adopted.models import (
    PLAIN,
    Case,
    categories,
    each,
    early,
    encoded,
    needs,
    on,
    ordinal,
    scaled,
    sparse,
    xgb,
)
from tests.unit.adopted.penguins import CODES, IS_GENTOO, NUMBERS, SPECIES_OF, TABLE, assert_served, said

pytestmark = pytest.mark.filterwarnings("ignore")  # what the libraries say of gaps and of few rows

SERVED: dict[str, Case] = {
    "bare, two classes": on(TABLE[NUMBERS], IS_GENTOO, lambda: xgb()),
    "bare, three classes": on(TABLE[NUMBERS], CODES, lambda: xgb()),
    "base_score": on(TABLE[NUMBERS], IS_GENTOO, lambda: xgb(base_score=0.2)),
    "early stopping": early(
        lambda rows: xgb(n_estimators=200, early_stopping_rounds=3, learning_rate=0.6).fit(
            rows[:300], CODES[:300], eval_set=[(rows[300:], CODES[300:])], verbose=False
        )
    ),
    "missing=-1": on(TABLE[NUMBERS].fillna(-1), IS_GENTOO, lambda: xgb(missing=-1)),
    "dart": on(TABLE[NUMBERS], CODES, lambda: xgb(booster="dart", rate_drop=0.3)),
    "multi:softmax": on(TABLE[NUMBERS], CODES, lambda: xgb(objective="multi:softmax")),
    "num_parallel_tree": on(TABLE[NUMBERS], CODES, lambda: xgb(num_parallel_tree=3, subsample=0.5)),
    "lossguide, exact": on(TABLE[NUMBERS], IS_GENTOO, lambda: xgb(tree_method="exact")),
    "categories": on(categories(PLAIN), CODES, lambda: xgb(enable_categorical=True), 400),
    "categories by sets": on(categories(PLAIN), CODES, lambda: xgb(enable_categorical=True, max_cat_to_onehot=1), 400),
    "behind a sparse matrix": on(TABLE.assign(depth=TABLE.depth.round() - 17), CODES, lambda: sparse(xgb())),
    "behind a sparse matrix of scaled numbers": on(TABLE, CODES, lambda: sparse(xgb(), scaled)),
    "in a pipeline": on(TABLE, CODES, lambda: encoded(xgb())),
    "behind a scaler and an OrdinalEncoder": on(TABLE, IS_GENTOO, lambda: encoded(xgb(), scaled, ordinal)),
    "texts as classes, through a vote": on(
        TABLE, SPECIES_OF, lambda: VotingClassifier([("x", encoded(xgb()))], voting="soft")
    ),
    "calibrated pipeline": on(TABLE, CODES, lambda: CalibratedClassifierCV(encoded(xgb()), cv=2)),
    "calibrated, isotonic": on(
        TABLE[NUMBERS], IS_GENTOO, lambda: CalibratedClassifierCV(xgb(), method="isotonic", cv=2)
    ),
    "searched": on(TABLE, CODES, lambda: GridSearchCV(encoded(xgb()), {"xgbclassifier__max_depth": [2, 3]}, cv=2)),
    "tuned threshold": on(TABLE, IS_GENTOO, lambda: TunedThresholdClassifierCV(encoded(xgb()), cv=2)),
}


@each(
    SERVED,
    slow=(
        "categories by sets",
        "calibrated pipeline",
        "tuned threshold",
    ),
)
def test_served_equal_on_every_row(case: Case) -> None:
    needs("xgboost")
    assert_served(*case())


ROWS = TABLE[NUMBERS].fillna(0)


@pytest.mark.parametrize(
    ("named", "sentence"),
    [
        ({"booster": "gblinear"}, "its booster gblinear has no trees: fit it with booster='gbtree'"),
        ({"objective": "binary:logitraw"}, "binary:logitraw gives no probabilities: fit it with binary:logistic"),
        ({"multi_strategy": "multi_output_tree"}, "have several outputs: fit it with multi_strategy="),
    ],
    ids=str,
)
def test_what_its_trees_cannot_say_is_refused(named: dict[str, Any], sentence: str) -> None:
    needs("xgboost")
    assert sentence in said(xgb(**named).fit(ROWS, IS_GENTOO if "objective" in named else CODES), ROWS)


def test_categories_that_xgboost_itself_cuts_short_are_refused() -> None:
    needs("xgboost")
    fitted = xgb(enable_categorical=True).fit(categories(TABLE), CODES)
    assert "cuts categories that are not plain ASCII short: put an OrdinalEncoder" in said(fitted, categories(TABLE))


def test_a_booster_a_regressor_and_several_answers_are_refused_with_what_to_give_instead() -> None:
    needs("xgboost")
    from xgboost import XGBRegressor

    several = xgb().fit(ROWS, np.column_stack([CODES > 0, IS_GENTOO]))
    assert "register one classifier for each" in said(several, ROWS)
    assert "give the XGBClassifier that it comes from" in said(xgb().fit(ROWS, CODES).get_booster(), ROWS)
    assert "XGBRegressor has no classes" in said(XGBRegressor(n_estimators=2).fit(ROWS, CODES), ROWS)
    assert said(xgb(), ROWS) == "this XGBClassifier was never fitted: call fit first"
