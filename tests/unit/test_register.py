"""Registering graphs and estimators from elsewhere: what cannot serve, or answers otherwise, is refused."""

import io
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import KBinsDiscretizer, OneHotEncoder, StandardScaler
from threadpoolctl import threadpool_limits

from models.__main__ import COMMANDS
from models.onnx.graph import GraphParts
from models.register_sklearn import register_sklearn
from models.registry.client import Registry
from models.registry.spec import UnfitModel
from models.scoring.scorer import Scorer
from models.training.register import RegistrationRefused
from tests.registry import copy_registry
from tests.unit.test_graph import linear
from worker.scoring.predict import Stopwatch, predict
from worker.scoring.predicted import Predicted
from worker.scoring.write import positive_index

MINE = "my-model"


@pytest.fixture
def registry(tiny_registry: str, tmp_path: Path) -> Registry:
    return Registry(copy_registry(tiny_registry, tmp_path), MINE)


def flowers(rows: int = 200, gaps: bool = True) -> tuple[pd.DataFrame, np.ndarray[Any, Any]]:
    """Three classes told apart by two numbers and a text; column names with spaces and slashes."""
    random = np.random.default_rng(5)
    kinds = random.integers(0, 3, rows)
    table = pd.DataFrame(
        {
            "Stem length / cm": kinds + random.normal(0, 0.4, rows),
            "Petals": random.integers(3, 9, rows).astype(float),
            "Colour": np.array(["red", "blue", "white"], dtype=object)[(kinds + (random.random(rows) < 0.2)) % 3],
        }
    )
    if gaps:
        table.loc[::17, "Petals"] = np.nan
    return table, np.array(["rose", "iris", "lily"], dtype=object)[kinds]


def column_transformer() -> ColumnTransformer:
    return ColumnTransformer(
        [
            ("colour", OneHotEncoder(handle_unknown="ignore"), ["Colour"]),
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), ["Stem length / cm", "Petals"]),
        ]
    )


@pytest.mark.parametrize(
    "classifier",
    [
        LogisticRegression(),
        RandomForestClassifier(8, random_state=0),
        HistGradientBoostingClassifier(max_iter=5, early_stopping=False),
    ],
    ids=lambda one: type(one).__name__,
)
def test_a_pipeline_with_a_column_transformer_serves_as_it_predicts(
    registry: Registry, tmp_path: Path, classifier: Any
) -> None:
    rows, labels = flowers()
    with threadpool_limits(1):
        pipeline = make_pipeline(column_transformer().set_output(transform="default"), classifier)
        pipeline.named_steps["columntransformer"].sparse_threshold = 0
        pipeline.fit(rows, labels)
    version = register_sklearn(
        pipeline, rows, model=MINE, label_column="kind", training_rows=rows, tracking_uri=registry.tracking_uri
    )
    fetched = registry.fetch(version, tmp_path / "cache")
    assert fetched.spec.classes == ("iris", "lily", "rose")
    assert fetched.spec.label_column == "kind"
    assert set(fetched.spec.profile) == set(rows)
    assert [(column.name, column.is_text) for column in fetched.spec.columns] == [
        ("Stem length / cm", False),
        ("Petals", False),
        ("Colour", True),
    ]
    unseen = rows.head(5).assign(Colour=["", "green", "red", "blue", "white"])
    scores = Scorer(fetched.graph.read_bytes(), fetched.spec).score({name: unseen[name].to_numpy() for name in unseen})
    np.testing.assert_allclose(scores.probabilities, pipeline.predict_proba(unseen), atol=1e-5)
    assert list(scores.labels) == list(pipeline.predict(unseen))


def test_a_text_that_a_graph_was_not_fitted_on_costs_its_own_row_alone(registry: Registry, tmp_path: Path) -> None:
    # given a graph that raises on such a text, which no row of those it was registered with has
    rows, labels = flowers(gaps=False)
    strict = ColumnTransformer([("colour", OneHotEncoder(), ["Colour"]), ("petals", "passthrough", ["Petals"])])
    pipeline = make_pipeline(strict, LogisticRegression()).fit(rows, labels)
    version = register_sklearn(pipeline, rows, model=MINE, tracking_uri=registry.tracking_uri)
    fetched = registry.fetch(version, tmp_path / "cache")
    scorer = Scorer(fetched.graph.read_bytes(), fetched.spec)

    def predicted(table: pd.DataFrame) -> Predicted:
        [batch] = predict(io.BytesIO(table.to_csv(index=False).encode()), scorer, Stopwatch())
        return batch

    # when two of 200 rows of a file have one
    found = predicted(rows.assign(Colour=[*rows.Colour[:20], "green", *rows.Colour[21:-1], "mauve"]))
    # then these say so, and the others are what they are without them
    assert {at: fault.message[:34] for at, fault in found.faults.items()} == {
        20: "the model cannot score this row: [",
        199: "the model cannot score this row: [",
    }
    usual = predicted(rows)
    others = np.delete(np.arange(200), [20, 199])
    assert list(found.labels[[20, 199]]) == [None, None]
    assert list(found.labels[others]) == list(usual.labels[others])
    np.testing.assert_array_equal(found.probabilities[others], usual.probabilities[others])

    # but where the graph raises on everything, the rows are not at fault
    scorer.score = lambda columns: (_ for _ in ()).throw(RuntimeError("bad allocation"))  # type: ignore[method-assign]
    with pytest.raises(UnfitModel, match="bad allocation"):
        predicted(rows.head(3))


def test_a_gap_that_a_version_does_not_take_is_an_error_of_its_row(registry: Registry, tmp_path: Path) -> None:
    # given an estimator that refuses gaps, whose graph would take them for the lowest bin
    rows, labels = flowers(gaps=False)
    numbers = rows[["Petals", "Stem length / cm"]]
    pipeline = make_pipeline(KBinsDiscretizer(3, encode="onehot-dense", strategy="uniform"), LogisticRegression())
    version = register_sklearn(pipeline.fit(numbers, labels), numbers, model=MINE, tracking_uri=registry.tracking_uri)
    fetched = registry.fetch(version, tmp_path / "cache")
    assert not any(column.takes_gaps for column in fetched.spec.columns)
    scorer = Scorer(fetched.graph.read_bytes(), fetched.spec)
    [batch] = predict(io.BytesIO(b"Petals,Stem length / cm\n3,1.5\nNA,1.5\n4,0.5\n"), scorer, Stopwatch())
    assert batch.error_texts == {1: "Petals: is a gap, which this model does not take here"}


def test_a_plain_classifier_on_numbers_gets_an_input_per_column(registry: Registry, tmp_path: Path) -> None:
    rows, labels = flowers(gaps=False)
    numbers = rows[["Stem length / cm", "Petals"]]
    classifier = LogisticRegression().fit(numbers.to_numpy(), labels == "rose")
    version = register_sklearn(classifier, numbers, model=MINE, tracking_uri=registry.tracking_uri)
    spec = registry.fetch(version, tmp_path / "cache").spec
    assert [column.name for column in spec.columns] == list(numbers)
    assert (spec.classes, spec.positive) == (("False", "True"), "True")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says how much memory a process has")
def test_a_version_says_what_it_takes(registry: Registry, tmp_path: Path) -> None:
    rows, labels = flowers(600, gaps=False)
    numbers, noise = rows[["Stem length / cm", "Petals"]], np.random.default_rng(1).permutation(labels)
    sizes = []
    for classifier in (LogisticRegression(), RandomForestClassifier(60, random_state=0)):
        fitted = classifier.fit(numbers.to_numpy(), noise)
        version = register_sklearn(fitted, numbers, model=MINE, tracking_uri=registry.tracking_uri)
        sizes.append(registry.size(version))
        assert sizes[-1].artifact_bytes == registry.fetch(version, tmp_path / "cache").graph.stat().st_size
    small, large = sizes
    assert small.memory_bytes is not None
    assert large.memory_bytes is not None
    assert large.memory_bytes > max(small.memory_bytes, large.artifact_bytes or 0)


def test_an_estimator_that_skl2onnx_cannot_convert_is_refused(registry: Registry) -> None:
    class Own(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
        classes_ = np.array(["a", "b"])

        def predict_proba(self, rows: Any) -> np.ndarray[Any, Any]:
            return np.tile([0.5, 0.5], (len(rows), 1))

    with pytest.raises(RegistrationRefused, match="cannot convert"):
        register_sklearn(Own(), flowers()[0][["Petals"]], model=MINE, tracking_uri=registry.tracking_uri)
    assert registry.aliases() == {}


def test_an_estimator_that_answers_otherwise_than_its_graph_is_refused(registry: Registry) -> None:
    class Bent(LogisticRegression):  # type: ignore[misc]
        def predict_proba(self, rows: Any) -> np.ndarray[Any, Any]:
            return np.asarray(super().predict_proba(rows)) * 0.9 + 0.1 / 3

    from skl2onnx import update_registered_converter
    from skl2onnx.operator_converters.linear_classifier import convert_sklearn_linear_classifier
    from skl2onnx.shape_calculators.linear_classifier import calculate_linear_classifier_output_shapes

    update_registered_converter(
        Bent,
        "BentLogisticRegression",
        calculate_linear_classifier_output_shapes,
        convert_sklearn_linear_classifier,
        options={"zipmap": [True, False, "columns"], "nocl": [True, False], "raw_scores": [True, False]},
    )
    rows, labels = flowers(gaps=False)
    numbers = rows[["Stem length / cm", "Petals"]]
    bent = Bent().fit(numbers, labels)
    with pytest.raises(RegistrationRefused, match="differ on 200 of 200 rows"):
        register_sklearn(bent, numbers, model=MINE, tracking_uri=registry.tracking_uri)


def test_text_and_numbers_without_a_column_transformer_are_refused(registry: Registry) -> None:
    class Mixed(RandomForestClassifier):  # type: ignore[misc]
        def predict_proba(self, rows: Any) -> np.ndarray[Any, Any]:
            return np.tile([0.5, 0.5], (len(rows), 1))

    mixed = Mixed()
    mixed.classes_ = np.array(["a", "b"])
    with pytest.raises(RegistrationRefused, match="need a ColumnTransformer"):
        register_sklearn(mixed, flowers()[0], model=MINE, tracking_uri=registry.tracking_uri)


def run_register(registry: Registry, file: Path, **options: Any) -> int:
    command = COMMANDS["register"](  # type: ignore[call-arg]
        file=file, mlflow_tracking_uri=registry.tracking_uri, model=MINE, **{"classes": "no,yes", **options}
    )
    return command.run()


def test_register_takes_a_graph_with_its_columns_and_example(registry: Registry, tmp_path: Path) -> None:
    onnx.save(linear(), tmp_path / "mine.onnx")
    rows = pd.DataFrame({"other": ["x"] * 600, "b": np.arange(600) / 10, "a": 1.0})
    rows.to_csv(tmp_path / "rows.csv", index=False)
    options = {"input_columns": "a,b", "example": tmp_path / "rows.csv", "id_column": "nr", "label_column": "answer"}
    assert run_register(registry, tmp_path / "mine.onnx", **options) == 0
    fetched = registry.fetch("1", tmp_path / "cache")
    assert [column.name for column in fetched.spec.columns] == ["a", "b"]
    assert (fetched.spec.positive, fetched.spec.id_column) == ("yes", "nr")
    assert fetched.spec.profile["b"]["edges"][-1] == pytest.approx(59.9)
    Scorer(fetched.graph.read_bytes(), fetched.spec).check_example()
    assert registry.aliases() == {}  # who registers does not deploy


@pytest.mark.parametrize("given", [0, "0"])
def test_the_positive_class_is_compared_as_text(registry: Registry, tmp_path: Path, given: Any) -> None:
    rows, labels = flowers(gaps=False)
    classifier = LogisticRegression().fit(rows[["Petals"]], (labels == "rose").astype(int))
    version = register_sklearn(
        classifier, rows[["Petals"]], model=MINE, positive=given, tracking_uri=registry.tracking_uri
    )
    spec = registry.fetch(version, tmp_path / "cache").spec
    assert (spec.classes, spec.positive, positive_index(spec)) == (("0", "1"), "0", 0)


def test_a_positive_class_that_is_none_is_refused(registry: Registry) -> None:
    rows, labels = flowers(gaps=False)
    classifier = LogisticRegression().fit(rows[["Petals"]], labels == "rose")
    with pytest.raises(RegistrationRefused, match="the positive class 'Ture' is none of 'False', 'True'"):
        register_sklearn(classifier, rows[["Petals"]], model=MINE, positive="Ture", tracking_uri=registry.tracking_uri)
    assert registry.versions() == []


def labelled(classes: list[str]) -> onnx.ModelProto:
    """`linear`, which names the more probable of `classes` itself."""
    model = linear()
    parts = GraphParts("_/labelled/")
    chosen = parts.add("ArgMax", "p", axis=1, keepdims=0)
    parts.nodes.append(onnx.helper.make_node("Gather", [parts.constant(classes), chosen], ["names"]))
    model.graph.node.extend(parts.nodes)
    model.graph.initializer.extend(parts.constants)
    model.graph.output.append(onnx.helper.make_tensor_value_info("names", onnx.TensorProto.STRING, ["N"]))
    return model


def test_a_graph_whose_labels_are_in_another_order_is_refused(
    registry: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    onnx.save(labelled(["yes", "no"]), tmp_path / "other.onnx")
    # without an example too: its one row of zeros is a draw
    assert run_register(registry, tmp_path / "other.onnx", input_columns="a,b") == 1
    said = capsys.readouterr().err
    assert "of the classes 'no', 'yes' (--classes)" in said
    assert "the order 'yes', 'no'" in said
    assert registry.versions() == []

    onnx.save(labelled(["no", "yes"]), tmp_path / "same.onnx")
    assert run_register(registry, tmp_path / "same.onnx", input_columns="a,b") == 0
    assert "its probability is that of 'yes', the second class" in capsys.readouterr().out


def test_register_without_an_example_records_one_of_zeros(registry: Registry, tmp_path: Path) -> None:
    onnx.save(linear(), tmp_path / "mine.onnx")
    assert run_register(registry, tmp_path / "mine.onnx", input_columns="a,b", positive="no") == 0
    spec = registry.fetch("1", tmp_path / "cache").spec
    assert spec.example is not None
    assert spec.example.inputs["a"] == (0.0,)
    assert spec.positive == "no"
    assert spec.profile == {}


def external_data(path: Path) -> None:
    onnx.save(linear(), path, save_as_external_data=True, location="weights.bin", size_threshold=0)


@pytest.mark.parametrize(
    ("write", "options", "said"),
    [
        (lambda path: None, {}, "does not exist"),
        (lambda path: path.write_bytes(pickle.dumps({"a": 1})), {}, "is no"),
        (external_data, {"input_columns": "a,b"}, "other files"),
        (lambda path: onnx.save(linear(), path), {}, "--input-columns"),
        (lambda path: onnx.save(linear(), path), {"input_columns": "a,b", "classes": "only"}, "two or more"),
        (lambda path: onnx.save(linear(), path), {"input_columns": "a,b", "positive": "maybe"}, "'maybe' is none of"),
    ],
    ids=["absent", "pickle", "external", "unnamed", "one class", "positive"],
)
def test_register_refuses_what_cannot_serve(
    registry: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str], write: Any, options: Any, said: str
) -> None:
    write(tmp_path / "bad.onnx")
    assert run_register(registry, tmp_path / "bad.onnx", **options) == 1
    assert said in capsys.readouterr().err
    assert registry.aliases() == {}


def test_scores_that_are_no_probabilities_are_refused(
    registry: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logits = linear()
    logits.graph.node[-1].CopyFrom(onnx.helper.make_node("Identity", ["logits"], ["p"]))
    onnx.save(logits, tmp_path / "logits.onnx")
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n3,4\n")
    example = {"input_columns": "a,b", "example": tmp_path / "rows.csv"}
    assert run_register(registry, tmp_path / "logits.onnx", **example) == 1
    assert "softmax" in capsys.readouterr().err
