"""A graph answers as its estimator does, on rows that nobody had at hand; else the column or the rule is named."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    AdaBoostClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, SGDClassifier
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV, TunedThresholdClassifierCV
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import KBinsDiscretizer, OneHotEncoder, StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier

from models.onnx.decision import MOST_PROBABLE
from models.training.estimators import candidate as candidates
from models.training.estimators.candidate import sklearn_candidate
from models.training.register import Candidate, RegistrationRefused, raw_columns

pytestmark = pytest.mark.filterwarnings("ignore")  # what scikit-learn says of probes is not for those who register
NUMBERS = ["age", "stars", "delay"]


def survey(rows: int, seed: int, *, gaps: bool = False) -> tuple[pd.DataFrame, np.ndarray[Any, Any]]:
    """Passengers and whether they come again, which a text, a flag and three numbers say together."""
    random = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "age": random.integers(18, 80, rows).astype(float),
            "stars": random.integers(0, 6, rows).astype(float),
            "delay": np.round(random.exponential(20, rows), 1),
            "colour": np.array(["red", "blue", "Grün"], dtype=object)[random.integers(0, 3, rows)],
            "member": random.random(rows) < 0.5,
        }
    )
    score = table.stars - 2.5 + 2 * table.member + (table.colour == "Grün") - table.delay / 20
    answers = np.where(score + random.normal(0, 0.8, rows) > 0.5, "yes", "no").astype(object)
    if gaps:
        for name in ("age", "colour"):
            table.loc[random.random(rows) < 0.1, name] = np.nan
    return table, answers


ROWS, ANSWERS = survey(400, 1)
GAPS, ANSWERS_OF_GAPS = survey(400, 2, gaps=True)


def encoded(numbers: Any = "passthrough") -> ColumnTransformer:
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    return ColumnTransformer([("texts", encoder, ["colour", "member"]), ("numbers", numbers, NUMBERS)])


def assert_equal(candidate: Candidate, estimator: Any, rows: pd.DataFrame) -> None:
    scores = candidate.scorer.score(raw_columns(rows, candidate.types))
    np.testing.assert_allclose(scores.probabilities, estimator.predict_proba(rows), atol=1e-5)
    assert list(scores.labels) == list(map(str, estimator.predict(rows)))


def with_values(rows: pd.DataFrame, name: str, values: Any) -> pd.DataFrame:
    return (
        pd.concat([rows] * (len(values) // len(rows) + 1), ignore_index=True).head(len(values)).assign(**{name: values})
    )


def test_boosting_branches_on_doubles_where_it_branches() -> None:
    boosting = HistGradientBoostingClassifier(max_iter=8, early_stopping=False).fit(ROWS[NUMBERS], ANSWERS)
    candidate = sklearn_candidate(boosting, ROWS[NUMBERS].head(40))
    nodes = np.concatenate([stage[0].nodes for stage in boosting._predictors])
    delays = nodes["num_threshold"][(nodes["is_leaf"] == 0) & (nodes["feature_idx"] == NUMBERS.index("delay"))]
    around = np.concatenate([delays, np.nextafter(delays, np.inf), np.nextafter(delays, -np.inf), delays + 1e-9])
    assert_equal(candidate, boosting, with_values(ROWS[NUMBERS], "delay", around))


@pytest.mark.parametrize("forest", [DecisionTreeClassifier(random_state=0), RandomForestClassifier(9, random_state=0)])
def test_a_scaler_before_trees_keeps_its_doubles(monkeypatch: pytest.MonkeyPatch, forest: Any) -> None:
    # given whole numbers, of which few are there to check with, and half steps to be scored
    rows = ROWS[NUMBERS].round()
    pipeline = make_pipeline(StandardScaler(), forest).fit(rows, ANSWERS)
    monkeypatch.setattr(candidates, "WAYS", candidates.WAYS[:1])
    candidate = sklearn_candidate(pipeline, rows.head(10))
    assert_equal(candidate, pipeline, rows)
    assert_equal(candidate, pipeline, with_values(rows, "age", np.arange(18, 80, 0.5)))


def test_a_gap_goes_where_the_trees_send_it() -> None:
    # given trees that were never shown a gap
    forest = RandomForestClassifier(8, random_state=0).fit(ROWS[NUMBERS], ANSWERS)
    candidate = sklearn_candidate(forest, ROWS[NUMBERS].head(40))
    assert candidate.no_gaps == ()
    for name in NUMBERS:
        assert_equal(candidate, forest, ROWS[NUMBERS].assign(**{name: np.nan}))


def test_a_tree_that_branches_on_what_is_missing_is_converted() -> None:
    # given a branch whose threshold is infinite, which skl2onnx looks for without end in doubles
    rows = pd.DataFrame({"age": np.where(np.arange(200) % 3 == 0, np.nan, 30.0), "stars": np.arange(200.0) % 5})
    tree = DecisionTreeClassifier(random_state=0).fit(rows, np.where(rows.age.isna(), "no", "yes"))
    assert np.isinf(tree.tree_.threshold).any()
    [(way, number, convert)] = [way for way in candidates.WAYS if way[0] == "in doubles"]
    graph = candidates.within(10, lambda: convert(tree, [("rows", number([None, 2]))]))
    assert graph.graph.node, way
    assert_equal(sklearn_candidate(tree, rows), tree, rows)


def test_a_conversion_without_end_is_ended_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(estimator: Any, inputs: Any) -> Any:
        until = time.monotonic() + 10  # so that this test has an end whatever becomes of the limit
        while time.monotonic() < until:
            pass

    monkeypatch.setattr(candidates, "CONVERSION_SECONDS", 0.05)
    monkeypatch.setattr(candidates, "WAYS", [("for ever", candidates.FloatTensorType, endless)])
    fitted = LogisticRegression().fit(ROWS[["stars"]], ANSWERS)
    with pytest.raises(RegistrationRefused, match="does not come to an end"):
        sklearn_candidate(fitted, ROWS[["stars"]])


def test_a_gap_in_text_that_was_shown_is_a_category() -> None:
    pipeline = make_pipeline(encoded(SimpleImputer()), LogisticRegression(max_iter=500)).fit(GAPS, ANSWERS_OF_GAPS)
    for rows in (GAPS, ROWS):  # with and without gaps to check with
        candidate = sklearn_candidate(pipeline, rows)
        assert candidate.no_gaps == ()
        assert_equal(candidate, pipeline, GAPS)


def test_text_is_imputed_as_the_estimator_does_it() -> None:
    text = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))
    pipeline = make_pipeline(ColumnTransformer([("text", text, ["colour"])]), LogisticRegression())
    pipeline.fit(GAPS[["colour"]], ANSWERS_OF_GAPS)
    assert_equal(sklearn_candidate(pipeline, ROWS[["colour"]]), pipeline, GAPS[["colour"]])


def test_a_column_on_whose_gaps_alone_they_part_takes_none() -> None:
    # given an estimator that refuses gaps, whose graph would take them for the lowest bin
    pipeline = make_pipeline(KBinsDiscretizer(4, encode="onehot-dense"), LogisticRegression(max_iter=500))
    pipeline.fit(ROWS[NUMBERS], ANSWERS)
    candidate = sklearn_candidate(pipeline, ROWS[NUMBERS])
    assert candidate.no_gaps == tuple(NUMBERS)


def test_true_and_false_are_texts_to_an_encoder_and_numbers_to_others() -> None:
    imputed = make_pipeline(SimpleImputer(), StandardScaler())
    passed = ColumnTransformer([("flags", "passthrough", ["member"]), ("numbers", imputed, NUMBERS)])
    for first in (encoded(imputed), passed):
        pipeline = make_pipeline(first, GaussianNB()).fit(ROWS, ANSWERS)
        candidate = sklearn_candidate(pipeline, ROWS.head(50))
        assert candidate.flags["member"]
        assert candidate.types["member"] == "double"
        assert_equal(candidate, pipeline, ROWS)


@pytest.mark.parametrize("threshold", [None, 0.35])
def test_draws_fall_as_the_estimator_has_them(monkeypatch: pytest.MonkeyPatch, threshold: float | None) -> None:
    # given votes that are often even, or meet a threshold exactly, and what float32 makes of twenty twentieths
    estimator: Any = RandomForestClassifier(20, random_state=0)
    if threshold is not None:
        estimator = FixedThresholdClassifier(estimator, threshold=threshold, pos_label="yes")
    estimator.fit(ROWS[NUMBERS], ANSWERS)
    rows = survey(400, 5)[0][NUMBERS]
    assert (np.round(estimator.predict_proba(rows)[:, 1], 12) == (threshold or 0.5)).sum() > 3
    monkeypatch.setattr(candidates, "WAYS", candidates.WAYS[:1])
    assert_equal(sklearn_candidate(estimator, ROWS[NUMBERS]), estimator, rows)


@pytest.mark.parametrize(
    "made",
    [
        lambda inner: TunedThresholdClassifierCV(inner, cv=2),
        lambda inner: FixedThresholdClassifier(inner, threshold=0.8, pos_label="no", response_method="predict_proba"),
        lambda inner: GridSearchCV(FixedThresholdClassifier(inner, threshold=0.2, pos_label="yes"), {}, cv=2),
        lambda inner: Pipeline(
            [("nothing", "passthrough"), ("last", FixedThresholdClassifier(inner, pos_label="yes"))]
        ),
    ],
    ids=["tuned", "fixed", "searched", "in a pipeline"],
)
def test_the_estimators_own_threshold_is_served(made: Callable[[Any], Any]) -> None:
    estimator = made(make_pipeline(StandardScaler(), LogisticRegression(C=0.01)))
    answers = ANSWERS if "pos_label" in str(estimator) else (ANSWERS == "yes").astype(int)
    estimator.fit(ROWS[NUMBERS], answers)
    assert_equal(sklearn_candidate(estimator, ROWS[NUMBERS].head(20)), estimator, survey(400, 6)[0][NUMBERS])


def test_another_rule_is_seen_by_what_is_predicted() -> None:
    # given an estimator that goes its own way far above one value that no row given has
    fitted = LogisticRegression().fit(ROWS[NUMBERS], ANSWERS)
    usual = fitted.predict
    fitted.predict = lambda rows: np.where(rows.stars > 1000, "no", usual(rows))
    rows = survey(300, 7)[0][NUMBERS]
    with pytest.raises(RegistrationRefused, match="it decides by another rule, which a version cannot serve"):
        sklearn_candidate(fitted, rows.assign(stars=rows.stars + 1001))
    with pytest.raises(RegistrationRefused, match=r"predicts 'no' where its own probabilities, .* are for 'yes'"):
        sklearn_candidate(fitted, rows)  # its probes go beyond the range


def test_the_label_of_the_graph_is_compared_too(monkeypatch: pytest.MonkeyPatch) -> None:
    # given a graph that gives the right probabilities, and serves another rule than the estimator's
    fixed = FixedThresholdClassifier(LogisticRegression(), threshold=0.2, pos_label="yes").fit(ROWS[NUMBERS], ANSWERS)
    form = candidates.serving_form
    monkeypatch.setattr(
        candidates, "serving_form", lambda *given, **named: form(*given, **{**named, "decision": MOST_PROBABLE})
    )
    with pytest.raises(RegistrationRefused, match=r"differ on \d+ of 400 rows"):
        sklearn_candidate(fixed, ROWS[NUMBERS])


@pytest.mark.parametrize(
    ("estimator", "said"),
    [
        (SVC(probability=True, random_state=0), "SVC decides by its margins"),
        (
            FixedThresholdClassifier(LogisticRegression(), pos_label="yes", response_method="decision_function"),
            "has its threshold on decision_function",
        ),
        (SGDClassifier(loss="hinge"), "gives no probabilities"),
        (LinearSVC(), "gives no probabilities .* put it into CalibratedClassifierCV"),
        (LinearRegression(), "has no classes"),
    ],
    ids=lambda one: type(one).__name__,
)
def test_what_cannot_be_served_is_refused_with_a_sentence(estimator: Any, said: str) -> None:
    answers = ANSWERS if not isinstance(estimator, LinearRegression) else ROWS.age
    with pytest.raises(RegistrationRefused, match=said):
        sklearn_candidate(estimator.fit(ROWS[NUMBERS], answers), ROWS[NUMBERS])


def test_what_is_no_fitted_estimator_or_no_table_is_told_so() -> None:
    fitted = LogisticRegression().fit(ROWS[NUMBERS].to_numpy(), ANSWERS)
    with pytest.raises(RegistrationRefused, match="never fitted"):
        sklearn_candidate(LogisticRegression(), ROWS[NUMBERS])
    with pytest.raises(RegistrationRefused, match="give a DataFrame"):
        sklearn_candidate(fitted, ROWS[NUMBERS].to_numpy())
    with pytest.raises(RegistrationRefused, match="there is no row"):
        sklearn_candidate(fitted, ROWS[NUMBERS].head(0))
    with pytest.raises(RegistrationRefused, match="no estimator of scikit-learn's"):
        sklearn_candidate({"classes_": ["a", "b"]}, ROWS[NUMBERS])


def test_texts_with_blanks_at_their_ends_are_refused_in_rows_and_in_what_was_learned() -> None:
    # given a table as `", ".join` writes it and read_csv reads it
    table = pd.DataFrame({"class": [" Eco", " Business"] * 30, "age": range(60)})
    pipeline = make_pipeline(
        make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["class"]), remainder="passthrough"),
        LogisticRegression(),
    ).fit(table, ["no", "yes"] * 30)

    # then neither its own rows nor trimmed ones make a version that knows none of its texts
    with pytest.raises(RegistrationRefused, match=r"column 'class' has texts with blanks at their ends \(' Eco'\)"):
        sklearn_candidate(pipeline, table)
    with pytest.raises(RegistrationRefused, match=r"learned texts with blanks at their ends \(' Business'\)"):
        sklearn_candidate(pipeline, table.assign(**{"class": table["class"].str.strip()}))


def test_where_they_part_the_column_is_named_and_what_was_put_into_it() -> None:
    # given an estimator that refuses texts that it was not fitted on, whose graph does not
    pipeline = make_pipeline(encoded(), DecisionTreeClassifier(random_state=0)).fit(ROWS, ANSWERS)
    usual = pipeline.predict

    def only_known(rows: pd.DataFrame) -> Any:
        assert set(rows.colour.dropna()) <= set(ROWS.colour)
        return usual(rows)

    pipeline.predict = only_known
    with pytest.raises(
        RegistrationRefused, match=r"part on 'colour' with 'never seen before' in it .* refuses the row.*: fit it"
    ):
        sklearn_candidate(pipeline, ROWS)


def test_a_column_that_the_graph_passes_over_is_tried_too() -> None:
    # given an estimator that looks at a column which its first step drops, and does not where the rows are as usual
    first = ColumnTransformer([("text", OneHotEncoder(handle_unknown="ignore"), ["colour"])])
    pipeline = make_pipeline(first, LogisticRegression()).fit(ROWS, ANSWERS)
    assert list(sklearn_candidate(pipeline, ROWS).types) == ["colour"]
    usual = pipeline.predict_proba

    def swapped(rows: pd.DataFrame) -> Any:
        return rows.stars.to_numpy() > ROWS.stars.max()

    pipeline.predict_proba = lambda rows: np.where(swapped(rows)[:, np.newaxis], usual(rows)[:, ::-1], usual(rows))
    pipeline.predict = lambda rows: pipeline.classes_[pipeline.predict_proba(rows).argmax(axis=1)]

    with pytest.raises(RegistrationRefused, match="part on 'stars' with "):
        sklearn_candidate(pipeline, ROWS)


@pytest.mark.parametrize(
    "classifier",
    [
        LogisticRegression(max_iter=500),
        GradientBoostingClassifier(n_estimators=5, random_state=0),
        AdaBoostClassifier(n_estimators=4, random_state=0),
        CalibratedClassifierCV(LinearSVC(), cv=2),
        SGDClassifier(loss="log_loss", random_state=0),
        LinearDiscriminantAnalysis(),
    ],
    ids=lambda one: type(one).__name__,
)
def test_a_pipeline_of_text_flags_and_numbers_answers_as_its_estimator(classifier: Any) -> None:
    pipeline = make_pipeline(encoded(make_pipeline(SimpleImputer(), StandardScaler())), classifier)
    pipeline.fit(GAPS, ANSWERS_OF_GAPS)
    rows, _ = survey(200, 8, gaps=True)
    rows.loc[::5, "colour"] = "日本語"
    assert_equal(sklearn_candidate(pipeline, GAPS.head(100)), pipeline, rows)
