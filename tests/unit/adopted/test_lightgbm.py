"""LightGBM's classifiers are served equal on every row: doubles, gaps and zeros, categories."""

from __future__ import annotations

import re
from typing import Any

import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (
    StackingClassifier,
)
from sklearn.linear_model import LogisticRegression

from tests.unit.adopted.models import (
    Case,
    categories,
    codes,
    each,
    early,
    encoded,
    lgbm,
    needs,
    on,
    ordinal,
    scaled,
    sparse,
    with_zeros,
)
from tests.unit.adopted.penguins import CODES, IS_GENTOO, LATER, NUMBERS, SPECIES_OF, TABLE, TEXTS, assert_served, said

pytestmark = pytest.mark.filterwarnings("ignore")  # what the libraries say of gaps and of few rows

SERVED: dict[str, Case] = {
    "bare, two classes": on(TABLE[NUMBERS], IS_GENTOO, lambda: lgbm()),
    "bare, three classes": on(TABLE[NUMBERS], SPECIES_OF, lambda: lgbm()),
    "gap-free training": on(TABLE[NUMBERS].fillna(0), SPECIES_OF, lambda: lgbm()),
    "values around zero": lambda: (
        lgbm().fit(TABLE[NUMBERS] - [40, 17, 4000], SPECIES_OF),
        TABLE[NUMBERS] - [40, 17, 4000],
        LATER[NUMBERS] - [40, 17, 4000],
    ),
    "zero_as_missing": on(with_zeros(), SPECIES_OF, lambda: lgbm(zero_as_missing=True)),
    "use_missing=False": on(TABLE[NUMBERS], SPECIES_OF, lambda: lgbm(use_missing=False)),
    "rf": on(TABLE[NUMBERS], SPECIES_OF, lambda: lgbm(boosting_type="rf", subsample=0.5, subsample_freq=1)),
    "dart": on(TABLE[NUMBERS], SPECIES_OF, lambda: lgbm(boosting_type="dart")),
    "early stopping": early(
        lambda rows: lgbm(n_estimators=200, learning_rate=0.6, early_stopping_round=3).fit(
            rows[:300], SPECIES_OF[:300], eval_set=[(rows[300:], SPECIES_OF[300:])]
        )
    ),
    "categories": on(categories(TABLE), SPECIES_OF, lambda: lgbm(min_data_per_group=5, cat_smooth=1)),
    "categories one by one": on(categories(TABLE), IS_GENTOO, lambda: lgbm(max_cat_to_onehot=9)),
    "codes as categories": lambda: (
        lgbm(min_data_per_group=5, cat_smooth=1).fit(codes, SPECIES_OF, categorical_feature=["code"]),
        codes,
    ),
    "behind a sparse matrix": on(TABLE.assign(depth=TABLE.depth.round() - 17), SPECIES_OF, lambda: sparse(lgbm())),
    "behind a sparse matrix of scaled numbers": on(TABLE, SPECIES_OF, lambda: sparse(lgbm(), scaled)),
    "in a pipeline": on(TABLE, SPECIES_OF, lambda: encoded(lgbm())),
    "behind a scaler and an OrdinalEncoder": on(TABLE, IS_GENTOO, lambda: encoded(lgbm(), scaled, ordinal)),
    "calibrated pipeline": on(TABLE, SPECIES_OF, lambda: CalibratedClassifierCV(encoded(lgbm()), cv=2)),
    "stacked": on(
        TABLE,
        SPECIES_OF,
        lambda: StackingClassifier(
            [("l", encoded(lgbm())), ("r", encoded(LogisticRegression(max_iter=200), scaled))], cv=2
        ),
    ),
}


@each(
    SERVED,
    slow=(
        "stacked",
        "calibrated pipeline",
        "behind a sparse matrix of scaled numbers",
    ),
)
def test_served_equal_on_every_row(case: Case) -> None:
    needs("lightgbm")
    assert_served(*case())


ROWS = TABLE[NUMBERS].fillna(0)


@pytest.mark.parametrize(
    ("named", "sentence"),
    [
        ({"linear_tree": True}, "its leaves are linear: fit it without linear_tree"),
        ({"objective": "multiclassova"}, "multiclassova gives no probabilities that add up to 1: fit it with"),
    ],
    ids=str,
)
def test_what_its_trees_cannot_say_is_refused(named: dict[str, Any], sentence: str) -> None:
    needs("lightgbm")
    assert sentence in said(lgbm(**named).fit(ROWS, SPECIES_OF), ROWS)


@pytest.mark.slow
def test_texts_that_are_no_categories_any_more_are_refused() -> None:
    needs("lightgbm")
    table = TABLE[[*NUMBERS, *TEXTS]].head(60)
    fitted = lgbm().fit(categories(TABLE), SPECIES_OF)
    assert re.search("gives no answer for .* categorical_feature do not match.*: give rows that", said(fitted, table))


def test_a_booster_and_a_regressor_are_refused_with_what_to_give_instead() -> None:
    needs("lightgbm")
    from lightgbm import LGBMRegressor

    assert "give the LGBMClassifier that it comes from" in said(lgbm().fit(ROWS, SPECIES_OF).booster_, ROWS)
    assert "LGBMRegressor has no classes" in said(LGBMRegressor(n_estimators=2, verbose=-1).fit(ROWS, CODES), ROWS)
    assert said(lgbm(), ROWS) == "this LGBMClassifier was never fitted: call fit first"
