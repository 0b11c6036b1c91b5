"""The steps of scikit-learn's that people put before a classifier, and its classifiers behind them."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.feature_selection import SelectKBest
from sklearn.impute import SimpleImputer
from sklearn.naive_bayes import BernoulliNB, GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import (
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
    TargetEncoder,
)
from sklearn.tree import DecisionTreeClassifier

from tests.unit.adopted.models import (
    Case,
    categories,
    each,
    encoded,
    forest,
    logistic,
    on,
    ordinal,
    scaled,
)
from tests.unit.adopted.penguins import (
    DRAWN,
    NUMBERS,
    SPECIES_OF,
    SPECIES_OF_WHOLE,
    TABLE,
    TEXTS,
    TWO,
    WHOLE,
    assert_served,
)

pytestmark = pytest.mark.filterwarnings("ignore")  # what the libraries say of gaps and of few rows


CANCER, MALIGNANT = load_breast_cancer(return_X_y=True, as_frame=True)
SERVED: dict[str, Case] = {
    "breast cancer, scaler and forest": lambda: (
        make_pipeline(StandardScaler(), RandomForestClassifier(random_state=0)).fit(CANCER[:400], MALIGNANT[:400]),
        CANCER[400:],
        CANCER,
    ),
    "remainder=passthrough": on(
        TABLE.drop(columns="remark"),
        SPECIES_OF,
        lambda: make_pipeline(
            make_column_transformer((OneHotEncoder(handle_unknown="ignore"), TEXTS), remainder="passthrough"), forest()
        ),
    ),
    "remainder=a scaler": on(
        TABLE.drop(columns=["remark", "tagged"]),
        SPECIES_OF,
        lambda: make_pipeline(
            make_column_transformer((OneHotEncoder(handle_unknown="ignore"), TEXTS), remainder=scaled), logistic()
        ),
    ),
    "drop": on(
        *DRAWN,
        lambda: make_pipeline(
            ColumnTransformer(
                [
                    ("n", scaled, NUMBERS),
                    ("no", "drop", ["remark", "tagged"]),
                    ("t", OneHotEncoder(handle_unknown="ignore"), TEXTS),
                ]
            ),
            logistic(),
        ),
    ),
    "columns by place": on(
        *DRAWN,
        lambda: make_pipeline(
            ColumnTransformer([("n", scaled, [0, 1, 2]), ("t", OneHotEncoder(handle_unknown="ignore"), [3, 4])]),
            logistic(),
        ),
    ),
    "most_frequent": on(
        *DRAWN,
        lambda: encoded(
            logistic(),
            scaled,
            make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")),
        ),
    ),
    "constant": on(
        *DRAWN,
        lambda: encoded(
            logistic(),
            scaled,
            make_pipeline(
                SimpleImputer(strategy="constant", fill_value="missing"), OneHotEncoder(handle_unknown="ignore")
            ),
        ),
    ),
    "gap indicators": on(*DRAWN, lambda: encoded(logistic(), SimpleImputer(add_indicator=True))),
    "constant numbers": on(*DRAWN, lambda: encoded(logistic(), SimpleImputer(strategy="constant", fill_value=-1))),
    "booleans passed through": on(
        *DRAWN,
        lambda: make_pipeline(
            ColumnTransformer([("n", scaled, NUMBERS), ("b", "passthrough", ["tagged"])]), logistic()
        ),
    ),
    "booleans one-hot": on(
        *DRAWN,
        lambda: make_pipeline(
            ColumnTransformer(
                [("n", scaled, NUMBERS), ("b", OneHotEncoder(handle_unknown="ignore"), ["tagged", "sex"])]
            ),
            logistic(),
        ),
    ),
    "one-hot, unknown=error": on(*DRAWN, lambda: encoded(logistic(), scaled, OneHotEncoder()), 400),
    "one-hot, infrequent_if_exist": on(
        *DRAWN,
        lambda: encoded(logistic(), scaled, OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=60)),
    ),
    "one-hot, drop=first": on(
        *DRAWN, lambda: encoded(logistic(), scaled, OneHotEncoder(handle_unknown="ignore", drop="first"))
    ),
    "OrdinalEncoder": on(*DRAWN, lambda: encoded(forest(), scaled, ordinal)),
    "OrdinalEncoder, unknown=error": on(
        *DRAWN,
        lambda: encoded(forest(), scaled, make_pipeline(SimpleImputer(strategy="most_frequent"), OrdinalEncoder())),
        400,
    ),
    "OrdinalEncoder, unknown=nan": on(
        *DRAWN,
        lambda: encoded(
            forest(), "passthrough", OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan)
        ),
    ),
    "TargetEncoder": on(*DRAWN, lambda: encoded(logistic(), scaled, TargetEncoder(random_state=0))),
    "TargetEncoder, two classes": on(*TWO, lambda: encoded(forest(), "passthrough", TargetEncoder(random_state=0))),
    "KBinsDiscretizer": on(*DRAWN, lambda: encoded(logistic(), make_pipeline(SimpleImputer(), KBinsDiscretizer(4)))),
    "KBinsDiscretizer, ordinal": on(
        *DRAWN, lambda: encoded(logistic(), make_pipeline(SimpleImputer(), KBinsDiscretizer(4, encode="ordinal")))
    ),
    "PolynomialFeatures": on(*DRAWN, lambda: encoded(logistic(), make_pipeline(scaled, PolynomialFeatures(2)))),
    "PowerTransformer": on(*DRAWN, lambda: encoded(logistic(), make_pipeline(SimpleImputer(), PowerTransformer()))),
    "PowerTransformer, box-cox": on(
        *DRAWN, lambda: encoded(logistic(), make_pipeline(SimpleImputer(), PowerTransformer("box-cox")))
    ),
    "QuantileTransformer": on(
        *DRAWN, lambda: encoded(logistic(), make_pipeline(SimpleImputer(), QuantileTransformer(n_quantiles=20)))
    ),
    "RobustScaler": on(
        *DRAWN, lambda: encoded(forest(), make_pipeline(SimpleImputer(strategy="median"), RobustScaler()))
    ),
    "MinMaxScaler": on(*DRAWN, lambda: encoded(forest(), make_pipeline(SimpleImputer(), MinMaxScaler(clip=True)))),
    "MaxAbsScaler": on(*DRAWN, lambda: encoded(forest(), make_pipeline(SimpleImputer(), MaxAbsScaler()))),
    "Normalizer": on(*DRAWN, lambda: encoded(logistic(), make_pipeline(SimpleImputer(), Normalizer()))),
    "SelectKBest": on(
        *DRAWN, lambda: Pipeline([*encoded(logistic(), scaled).steps[:-1], ("k", SelectKBest(k=4)), ("l", logistic())])
    ),
    "FeatureUnion": on(
        WHOLE[NUMBERS],
        SPECIES_OF_WHOLE,
        lambda: make_pipeline(FeatureUnion([("s", StandardScaler()), ("m", MinMaxScaler())]), logistic()),
        400,
    ),
    "pandas output": on(*DRAWN, lambda: encoded(logistic(), scaled).set_output(transform="pandas")),
    "pandas categories": on(categories(TABLE), SPECIES_OF, lambda: encoded(logistic(), scaled)),
    "whole numbers with gaps, Int64": on(
        TABLE[NUMBERS].assign(mass=TABLE.mass.astype("Int64")),
        SPECIES_OF,
        lambda: make_pipeline(SimpleImputer(), StandardScaler(), forest()),
    ),
    "texts alone": on(
        TABLE[TEXTS], SPECIES_OF, lambda: make_pipeline(OneHotEncoder(handle_unknown="ignore"), logistic())
    ),
    "GaussianNB": on(*DRAWN, lambda: encoded(GaussianNB(), scaled)),
    "BernoulliNB": on(*DRAWN, lambda: encoded(BernoulliNB(), scaled)),
    "KNeighborsClassifier": on(*DRAWN, lambda: encoded(KNeighborsClassifier(), scaled)),
    "MLPClassifier": on(*DRAWN, lambda: encoded(MLPClassifier((8,), max_iter=50, random_state=0), scaled)),
    "DecisionTreeClassifier": on(*DRAWN, lambda: encoded(DecisionTreeClassifier(random_state=0))),
    "ExtraTreesClassifier": on(*DRAWN, lambda: encoded(ExtraTreesClassifier(10, random_state=0))),
    "GradientBoostingClassifier": on(*DRAWN, lambda: encoded(GradientBoostingClassifier(n_estimators=5), scaled)),
}


@each(
    SERVED,
    slow=(
        "one-hot, unknown=error",
        "OrdinalEncoder, unknown=error",
        "FeatureUnion",
        "QuantileTransformer",
    ),
)
def test_served_equal_on_every_row(case: Case) -> None:
    assert_served(*case())
