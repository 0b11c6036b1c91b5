"""A training: the graph that is registered answers as the estimator does, and the run says how it came about."""

import hashlib
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
import pytest
from threadpoolctl import threadpool_limits

from models.__main__ import COMMANDS
from models.evidence.record.columns import TrainingBins
from models.evidence.record.sketch import training_sketch
from models.onnx.serving_form import serving_form
from models.registry.client import Registry
from models.registry.spec import PROBABILITIES_OUTPUT
from models.scoring.scorer import Scorer
from models.training.airline import boosting, forest
from models.training.airline.dataset import Dataset, refuse_one_class, synthetic_dataset
from models.training.airline.sample import write_files
from models.training.airline.schema import CLASSES, FEATURE_COLUMNS
from models.training.baseline import training_profile
from models.training.plots import calibration_plot, confusion_plot
from models.training.register import Candidate, RegistrationRefused, check_against_estimator
from models.training.rows import BadRows
from models.training.trained import Trained
from tests.registry import MODEL, TINY, copy_registry

TRAINING = synthetic_dataset(1200, seed=1)
TEST = synthetic_dataset(400, seed=2)


def candidate_of(trained: Trained) -> Candidate:
    return Candidate(trained.kind, serving_form(trained.graph, CLASSES, positive="satisfied"), CLASSES, "satisfied")


@pytest.fixture(scope="module", params=["forest", "boosting"])
def trained(request: pytest.FixtureRequest) -> Trained:
    train: Any = {"forest": forest.train, "boosting": boosting.train}[request.param]
    with threadpool_limits(1):
        made: Trained = train(TRAINING, **TINY[request.param])
    return made


def test_the_graph_answers_as_the_estimator_in_its_own_library(trained: Trained) -> None:
    expected = trained.estimator.predict_proba(TEST.features)
    scores = check_against_estimator(candidate_of(trained), TEST.features, expected)
    assert list(scores.labels) == list(trained.estimator.classes_[expected.argmax(axis=1)])
    np.testing.assert_allclose(scores.probabilities, expected, atol=1e-5)
    assert (scores.labels == TEST.labels).mean() > 0.85


def test_rows_with_gaps_and_unknown_texts_are_scored_and_not_dropped(trained: Trained) -> None:
    rows = TEST.features.head(40).copy()
    for at, name in enumerate(FEATURE_COLUMNS):
        rows.loc[at, name] = "" if rows[name].dtype == object else np.nan
    rows.loc[30, "Class"] = "Premium"
    expected = trained.estimator.predict_proba(rows)
    scores = check_against_estimator(candidate_of(trained), rows, expected)
    assert len(scores.labels) == 40


def test_a_graph_of_another_model_is_refused(trained: Trained) -> None:
    other = 1 - trained.estimator.predict_proba(TEST.features)
    with pytest.raises(RegistrationRefused, match=f"{trained.kind} graph and its estimator differ"):
        check_against_estimator(candidate_of(trained), TEST.features, other)


def test_a_difference_on_one_row_is_enough_and_is_named(trained: Trained) -> None:
    expected = trained.estimator.predict_proba(TEST.features)
    expected[6] += (2e-5, -2e-5)
    with pytest.raises(RegistrationRefused, match=r"differ on 1 of 400 rows .*row 7"):
        check_against_estimator(candidate_of(trained), TEST.features, expected)


def test_the_same_seed_trains_the_same_model() -> None:
    first, again = (forest.train(TRAINING, trees=4, seed=3).graph for _ in range(2))
    other = forest.train(TRAINING, trees=4, seed=4).graph
    assert first.SerializeToString() == again.SerializeToString() != other.SerializeToString()


def test_a_forest_grown_in_steps_is_the_forest_of_one_go() -> None:
    from sklearn.ensemble import RandomForestClassifier

    steps = []
    grown = forest.train(TRAINING, trees=16, progress=lambda done, total: steps.append((done, total)))
    columns = grown.estimator.steps[0][1]  # type: ignore[attr-defined]
    whole = RandomForestClassifier(
        16, max_leaf_nodes=forest.LEAVES, max_features=forest.SHARE_OF_COLUMNS, random_state=0
    ).fit(columns.transform(TRAINING.features), TRAINING.labels)
    expected = whole.predict_proba(columns.transform(TEST.features))
    rounded = 0.5 / forest.SHARES + 1e-12
    np.testing.assert_allclose(grown.estimator.predict_proba(TEST.features), expected, rtol=0, atol=rounded)
    assert steps[-1] == (8, 8)


def test_a_draw_of_the_trees_is_one_in_the_graph_and_in_the_library() -> None:
    # Given leaves of thirds and quarters, whose sums depend on the order of adding, and trees few enough for draws
    made = forest.train(TRAINING, trees=6)
    rows = synthetic_dataset(20_000, seed=11).features
    second = made.estimator.predict_proba(rows)[:, 1]
    assert np.count_nonzero(second == 0.5) > 20
    session = onnxruntime.InferenceSession(made.graph.SerializeToString(), providers=["CPUExecutionProvider"])
    feeds = {name: rows[name].to_numpy() for name in rows.columns}

    [probabilities] = session.run([PROBABILITIES_OUTPUT], feeds)

    assert np.array_equal(probabilities[:, 1] == 0.5, second == 0.5)
    assert np.array_equal(probabilities.argmax(axis=1), made.estimator.predict(rows) == made.estimator.classes_[1])


def test_the_run_records_parameters_figures_plots_data_and_example(tiny_registry: str) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(tiny_registry, tiny_registry)
    version = client.get_model_version(MODEL, "1")
    run = client.get_run(version.run_id)
    assert run.data.params["trees"] == "16"
    assert {"test_accuracy", "test_roc_auc", "test_log_loss"} <= set(run.data.metrics)
    assert {item.path for item in client.list_artifacts(version.run_id)} == {"confusion.png", "calibration.png"}
    assert {data.tags[0].value for data in run.inputs.dataset_inputs} == {"training", "test"}
    assert len(run.data.tags["training_data.sha256"]) == 64
    assert version.tags["understudy.kind"] == "forest"
    assert float(version.tags["understudy.accuracy"]) == pytest.approx(run.data.metrics["test_accuracy"], abs=1e-4)


def test_the_name_of_a_class_is_a_text_in_the_plots_and_no_formula(tmp_path: Path) -> None:
    classes = ("$\\frac{1}{$", "$x$")
    labels = np.array(classes * 20)
    chance = np.linspace(0, 1, len(labels))

    for figure in (confusion_plot(labels, labels, classes), calibration_plot(labels == "$x$", chance, "$x$")):
        figure.savefig(tmp_path / "plot.svg", metadata={"Date": None})
        drawn = (tmp_path / "plot.svg").read_text()
        assert "<!-- $x$ -->" in drawn or "<!-- predicted probability of '$x$' -->" in drawn


def test_what_is_registered_is_what_a_worker_needs(tiny_registry: str, tmp_path: Path) -> None:
    fetched = Registry(tiny_registry, MODEL).fetch("1", tmp_path)
    spec = fetched.spec
    assert [column.name for column in spec.columns] == list(FEATURE_COLUMNS)
    assert (spec.classes, spec.positive, spec.id_column, spec.label_column) == (
        CLASSES,
        "satisfied",
        "id",
        "satisfaction",
    )
    scorer = Scorer(fetched.graph.read_bytes(), spec)
    scorer.check_example()
    assert spec.example is not None
    assert len(spec.example.labels) == 16
    for column in spec.columns:
        bins = TrainingBins.from_profile(spec.profile[column.name])
        assert bins is not None, column
        assert sum(bins.counts) == 1500


def test_the_first_forest_is_production_and_a_later_one_waits(tiny_registry: str, tmp_path: Path) -> None:
    from models.training.airline.training import train_and_register
    from models.training.tracking import Tracking

    registry = Registry(tiny_registry, MODEL)
    assert registry.aliases()["production"] == "1"
    tracking = Tracking(copy_registry(tiny_registry, tmp_path))
    made = train_and_register("forest", TRAINING, TEST, tracking, MODEL, who="tests", trees=4)
    assert (made.version, made.alias) == ("3", None)
    assert Registry(tracking.uri, MODEL).aliases() == {"production": "1", "staging": "2"}


@pytest.mark.slow  # it imports TensorFlow
def test_the_network_equals_keras_and_its_run_has_metrics_per_epoch(tiny_registry: str, tmp_path: Path) -> None:
    from models.training.airline import network
    from models.training.airline.training import train_and_register
    from models.training.tracking import Tracking

    made = network.train(TRAINING, epochs=2, units=(8, 4))
    check_against_estimator(candidate_of(made), TEST.features, made.estimator.predict_proba(TEST.features))
    again = network.train(TRAINING, epochs=2, units=(8, 4))
    assert again.graph.SerializeToString() == made.graph.SerializeToString()
    tracking = Tracking(copy_registry(tiny_registry, tmp_path))
    done = train_and_register("network", TRAINING, TEST, tracking, MODEL, who="tests", epochs=2, units=(8, 4))
    losses = tracking.client.get_metric_history(done.run_id, "val_loss")
    assert [metric.step for metric in losses] == [1, 2]


def test_a_profile_has_a_bin_per_value_where_they_are_few_and_counts_gaps() -> None:
    rows = pd.DataFrame({"few": [0.0, 1.0, 1.0, np.nan], "text": ["b", "", "a", "b"], "empty": [np.nan] * 4})
    profile = training_profile(rows, {"few": "double", "text": "string", "empty": "double"})
    assert profile["few"] == {"edges": [-0.5, 0.5, 1.5], "counts": [1, 2], "gaps": 1}
    assert profile["text"] == {"categories": ["b", "a"], "counts": [2, 1], "other": 0, "gaps": 1}
    assert profile["empty"]["gaps"] == 4


def test_data_of_one_class_cannot_train() -> None:
    positive = TRAINING.rows(np.flatnonzero(TRAINING.labels == "satisfied"))
    with pytest.raises(BadRows, match="both classes must occur"):
        refuse_one_class(Dataset("one", positive.features, positive.labels, ""))


@pytest.mark.slow
def test_train_trains_on_files_and_prints_its_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data,) = write_files(tmp_path / "data.csv", files=1, rows=400, seed=1)
    command = COMMANDS["train"](  # type: ignore[call-arg]
        kinds=["forest"], data=data, mlflow_tracking_uri=f"sqlite:///{tmp_path / 'new.db'}", model="mine"
    )
    assert command.run() == 0
    printed = capsys.readouterr()
    assert "production" in printed.out
    assert "40 rows" not in printed.err
    assert Registry(f"sqlite:///{tmp_path / 'new.db'}", "mine").aliases() == {"production": "1"}
    assert not (Path.cwd() / "mlruns").exists()

    # Then the version knows the file, and the nine tenths of its rows that it was fitted on
    kept = Registry(f"sqlite:///{tmp_path / 'new.db'}", "mine").training("1")
    assert kept.sha256 == hashlib.sha256(data.read_bytes()).hexdigest()
    everybody = training_sketch(pd.read_csv(data, dtype=str)["id"])
    assert kept.ids is not None
    found = everybody.share_in(kept.ids)
    assert found is not None
    assert (found.value, found.sample) == (0.9, 400)

    # When it is run again, for whoever has nothing in production
    again = command.model_copy(update={"unless_served": True})
    assert again.run() == 0

    # Then there is no second version
    assert "nothing to train" in capsys.readouterr().out
    assert len(Registry(f"sqlite:///{tmp_path / 'new.db'}", "mine").versions()) == 1


def test_train_says_what_is_wrong_with_a_file_and_registers_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = f"sqlite:///{tmp_path / 'new.db'}"
    command = COMMANDS["train"](kinds=["all"], data=tmp_path / "no.csv", mlflow_tracking_uri=uri)  # type: ignore[call-arg]
    assert command.run() == 1
    assert "no.csv does not exist" in capsys.readouterr().err
    assert not (tmp_path / "new.db").exists()
    with pytest.raises(sqlite3.OperationalError):
        sqlite3.connect(f"file:{tmp_path / 'new.db'}?mode=ro", uri=True)
