"""What people put around whole pipelines: searches, calibrations, votes, stacks, thresholds."""

from __future__ import annotations

from typing import Any

import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    GradientBoostingClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    RandomizedSearchCV,
    TunedThresholdClassifierCV,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    OneHotEncoder,
    StandardScaler,
)
from sklearn.svm import SVC, LinearSVC

from tests.unit.adopted.models import (
    Case,
    each,
    encoded,
    forest,
    histogram,
    logistic,
    on,
    scaled,
)
from tests.unit.adopted.penguins import (
    DRAWN,
    NUMBERS,
    SPECIES_OF,
    TABLE,
    TWO,
    assert_served,
)

pytestmark = pytest.mark.filterwarnings("ignore")  # what the libraries say of gaps and of few rows


def selected(last: Any) -> Any:
    return make_pipeline(
        make_column_transformer(
            (scaled, make_column_selector(dtype_include="number")),
            (OneHotEncoder(handle_unknown="ignore", min_frequency=30), make_column_selector(pattern="island|sex")),
        ),
        last,
    )


def parties() -> Any:
    return [("r", encoded(forest())), ("l", selected(logistic())), ("h", encoded(histogram()))]


SERVED: dict[str, Case] = {
    "GridSearchCV of a pipeline": on(
        *DRAWN, lambda: GridSearchCV(selected(logistic()), {"logisticregression__C": [1, 2]}, cv=2)
    ),
    "RandomizedSearchCV of a pipeline": on(
        *DRAWN,
        lambda: RandomizedSearchCV(encoded(forest()), {"randomforestclassifier__max_depth": [3, 4]}, n_iter=2, cv=2),
    ),
    "CalibratedClassifierCV of a pipeline": on(*DRAWN, lambda: CalibratedClassifierCV(encoded(forest()), cv=2)),
    "CalibratedClassifierCV, isotonic, LinearSVC": on(
        *DRAWN, lambda: CalibratedClassifierCV(selected(LinearSVC()), cv=2, method="isotonic")
    ),
    "CalibratedClassifierCV, ensemble=False": on(
        *TWO, lambda: CalibratedClassifierCV(selected(LinearSVC()), cv=2, ensemble=False)
    ),
    "CalibratedClassifierCV, temperature": on(
        *TWO, lambda: CalibratedClassifierCV(selected(logistic()), cv=2, method="temperature")
    ),
    "CalibratedClassifierCV of histogram boosting": on(
        *DRAWN, lambda: CalibratedClassifierCV(encoded(histogram()), cv=2)
    ),
    "CalibratedClassifierCV of gradient boosting": on(
        *DRAWN, lambda: CalibratedClassifierCV(encoded(GradientBoostingClassifier(n_estimators=5), scaled), cv=2)
    ),
    "CalibratedClassifierCV of SVC": on(*DRAWN, lambda: CalibratedClassifierCV(selected(SVC()), cv=2)),
    "VotingClassifier of pipelines": on(*DRAWN, lambda: VotingClassifier(parties(), voting="soft", weights=[1, 2, 3])),
    "VotingClassifier in a pipeline": on(
        *DRAWN,
        lambda: selected(VotingClassifier([("r", forest()), ("l", logistic()), ("h", histogram())], voting="soft")),
    ),
    "StackingClassifier of pipelines": on(*DRAWN, lambda: StackingClassifier(parties(), cv=2)),
    "StackingClassifier, two classes": on(*TWO, lambda: StackingClassifier(parties(), cv=2)),
    "StackingClassifier with LinearSVC": on(
        *TWO, lambda: StackingClassifier([("s", selected(LinearSVC())), ("r", encoded(forest()))], cv=2)
    ),
    "StackingClassifier, passthrough": on(
        TABLE[NUMBERS].fillna(0),
        SPECIES_OF,
        lambda: StackingClassifier(
            [("r", forest()), ("l", make_pipeline(StandardScaler(), logistic()))], cv=2, passthrough=True
        ),
        400,
    ),
    "TunedThresholdClassifierCV of a pipeline": on(*TWO, lambda: TunedThresholdClassifierCV(encoded(forest()), cv=2)),
    "FixedThresholdClassifier of a pipeline": on(
        *TWO, lambda: FixedThresholdClassifier(selected(logistic()), threshold=0.3)
    ),
    "BaggingClassifier": on(*DRAWN, lambda: selected(BaggingClassifier(logistic(), n_estimators=3, random_state=0))),
    "BaggingClassifier of histogram boosting": on(
        TABLE[NUMBERS],
        SPECIES_OF,
        lambda: BaggingClassifier(histogram(), n_estimators=3, max_features=2, random_state=0),
    ),
    "OneVsRestClassifier of pipelines": on(*DRAWN, lambda: OneVsRestClassifier(encoded(histogram()))),
    "AdaBoostClassifier": on(*DRAWN, lambda: selected(AdaBoostClassifier(n_estimators=5, random_state=0))),
}


@each(
    SERVED,
    slow=(
        "StackingClassifier, passthrough",
        "StackingClassifier, two classes",
        "OneVsRestClassifier of pipelines",
        "CalibratedClassifierCV of SVC",
        "RandomizedSearchCV of a pipeline",
        "CalibratedClassifierCV of gradient boosting",
    ),
)
def test_served_equal_on_every_row(case: Case) -> None:
    assert_served(*case())
