"""CatBoost's classifiers of numbers are served equal on every row, whatever becomes of gaps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sklearn.calibration import CalibratedClassifierCV

from tests.unit.adopted.models import Case, cat, each, early, encoded, needs, on, scaled, sparse
from tests.unit.adopted.penguins import CODES, IS_GENTOO, NUMBERS, SPECIES_OF, TABLE, TEXTS, assert_served, said

pytestmark = pytest.mark.filterwarnings("ignore")  # what the libraries say of gaps and of few rows

SERVED: dict[str, Case] = {
    "bare, two classes": on(TABLE[NUMBERS], IS_GENTOO, lambda: cat()),
    "bare, three classes of text": on(TABLE[NUMBERS], SPECIES_OF, lambda: cat()),
    "nan_mode Max": on(TABLE[NUMBERS], SPECIES_OF, lambda: cat(nan_mode="Max")),
    "nan_mode Forbidden": on(TABLE[NUMBERS].fillna(0), SPECIES_OF, lambda: cat(nan_mode="Forbidden")),
    "Depthwise": on(TABLE[NUMBERS], SPECIES_OF, lambda: cat(grow_policy="Depthwise")),
    "Lossguide": on(TABLE[NUMBERS], IS_GENTOO, lambda: cat(grow_policy="Lossguide")),
    "early stopping": early(
        lambda rows: cat(iterations=200, learning_rate=0.6, early_stopping_rounds=3).fit(
            rows[:300], SPECIES_OF[:300], eval_set=(rows[300:], SPECIES_OF[300:])
        )
    ),
    "behind a sparse matrix": on(TABLE.assign(depth=TABLE.depth.round() - 17), SPECIES_OF, lambda: sparse(cat())),
    "behind a sparse matrix of scaled numbers": on(TABLE, SPECIES_OF, lambda: sparse(cat(), scaled)),
    "in a pipeline": on(TABLE, SPECIES_OF, lambda: encoded(cat())),
    "behind a scaler": on(TABLE, IS_GENTOO, lambda: encoded(cat(), scaled)),
    "calibrated pipeline": on(TABLE, SPECIES_OF, lambda: CalibratedClassifierCV(encoded(cat()), cv=2)),
}


@each(
    SERVED,
    slow=(
        "calibrated pipeline",
        "behind a sparse matrix of scaled numbers",
    ),
)
def test_served_equal_on_every_row(case: Case) -> None:
    needs("catboost")
    assert_served(*case())


ROWS = TABLE[NUMBERS].fillna(0)


def test_one_out_of_a_file_is_served_alone_and_in_a_pipeline(tmp_path: Path) -> None:
    needs("catboost")
    from catboost import CatBoostClassifier

    def from_file(fitted: Any) -> Any:
        fitted.save_model(str(tmp_path / "model.cbm"))
        return CatBoostClassifier().load_model(str(tmp_path / "model.cbm"))

    assert_served(from_file(cat().fit(ROWS, SPECIES_OF)), ROWS)
    pipeline = encoded(cat()).fit(TABLE, SPECIES_OF)
    pipeline.steps[-1] = ("last", from_file(pipeline.steps[-1][1]))
    assert_served(pipeline, TABLE)


def test_its_own_threshold_is_served() -> None:
    needs("catboost")
    fitted = cat().fit(ROWS, IS_GENTOO)
    fitted.set_probability_threshold(0.2)
    assert_served(fitted, ROWS)


def test_texts_in_its_own_columns_are_refused() -> None:
    needs("catboost")
    rows = TABLE[[*NUMBERS, *TEXTS]].fillna("")
    rows[NUMBERS] = ROWS
    fitted = cat().fit(rows, CODES, cat_features=TEXTS)
    assert "put a OneHotEncoder or a TargetEncoder before it, in a Pipeline" in said(fitted, rows)


def test_a_regressor_another_loss_and_what_was_never_fitted_are_refused() -> None:
    needs("catboost")
    from catboost import CatBoostRegressor

    regressor = CatBoostRegressor(iterations=2, verbose=0, allow_writing_files=False).fit(ROWS, CODES)
    assert "CatBoostRegressor has no classes" in said(regressor, ROWS)
    each_alone = cat(loss_function="MultiClassOneVsAll").fit(ROWS, CODES)
    assert "MultiClassOneVsAll is not served: fit it with" in said(each_alone, ROWS)
    assert said(cat(), ROWS) == "this CatBoostClassifier was never fitted: call fit first"
