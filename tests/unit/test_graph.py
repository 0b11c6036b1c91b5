"""ONNX graphs: the preprocessing equals scikit-learn's on any cell; any graph gets into serving form or is refused."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from sklearn.preprocessing import OneHotEncoder

from models.onnx.graph import FEATURES, behind, dense_network_graph, preprocessing_graph
from models.onnx.serving_form import UnfitGraph, input_columns, refuse_unsound, serving_form
from models.training.airline.preprocessing import preprocessing
from models.training.airline.sample import survey
from models.training.airline.schema import FEATURE_COLUMNS, NUMBER_COLUMNS, TEXT_COLUMNS

CLASSES = ("no", "yes")


def run(model: onnx.ModelProto, feeds: Mapping[str, Any], outputs: Sequence[str] | None = None) -> list[Any]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return list(session.run(outputs, dict(feeds)))


def feeds_of(rows: pd.DataFrame) -> dict[str, Any]:
    texts = {name: np.array([cell or "" for cell in rows[name]], dtype=object) for name in TEXT_COLUMNS}
    return texts | {name: rows[name].to_numpy(np.float64) for name in NUMBER_COLUMNS}


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "standardised"])
def fitted(request: pytest.FixtureRequest) -> Any:
    columns = preprocessing(standardise=request.param)
    columns.fit(survey(300, seed=1, gaps=0.2)[list(FEATURE_COLUMNS)])
    graph = preprocessing_graph(columns)
    return columns, onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])


known = st.sampled_from(["Female", "Male", "Eco", "Eco Plus", "Business", "Loyal Customer", "Personal Travel"])
odd_text = st.one_of(known, st.none(), st.just(""), st.text(max_size=30), st.just("x" * 100_000), st.just("eco"))
odd_number = st.one_of(
    st.just(float("nan")), st.integers(-(10**6), 10**6).map(float), st.floats(-1e9, 1e9, allow_nan=False), st.just(0.5)
)


@settings(max_examples=60)
@given(data=st.data(), size=st.integers(1, 4))
def test_the_graph_prepares_any_cell_as_scikit_learn_does(fitted: Any, data: st.DataObject, size: int) -> None:
    columns, session = fitted
    cells: dict[str, Any] = {}
    for name in FEATURE_COLUMNS:
        cell = odd_text if name in TEXT_COLUMNS else odd_number
        cells[name] = data.draw(st.lists(cell, min_size=size, max_size=size), label=name)
    rows = pd.DataFrame({name: pd.Series(cells[name], dtype=object) for name in TEXT_COLUMNS} | {
        name: np.array(cells[name]) for name in NUMBER_COLUMNS
    })[list(FEATURE_COLUMNS)]  # fmt: skip
    expected = np.asarray(columns.transform(rows), dtype=np.float32)
    (answer,) = session.run([FEATURES], feeds_of(rows))
    np.testing.assert_allclose(answer, expected, rtol=2e-7, atol=1e-7)


def test_no_rows_and_one_row_are_fine(fitted: Any) -> None:
    columns, session = fitted
    rows = survey(1, seed=3)[list(FEATURE_COLUMNS)]
    width = np.asarray(columns.transform(rows)).shape[1]
    assert session.run([FEATURES], feeds_of(rows))[0].shape == (1, width)
    assert session.run([FEATURES], feeds_of(rows.head(0)))[0].shape == (0, width)


def test_an_unknown_preprocessing_step_is_refused_and_not_left_out() -> None:
    from sklearn.compose import ColumnTransformer
    from sklearn.preprocessing import MinMaxScaler

    rows = pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]})
    step = ColumnTransformer([("text", OneHotEncoder(), ["b"]), ("numbers", MinMaxScaler(), ["a"])]).fit(rows)
    with pytest.raises(TypeError, match="MinMaxScaler"):
        preprocessing_graph(step)


def test_dense_layers_behind_the_preprocessing_equal_the_formula() -> None:
    columns = preprocessing(standardise=True)
    rows = survey(50, seed=2)[list(FEATURE_COLUMNS)]
    features = np.float32(columns.fit_transform(rows))
    random = np.random.default_rng(0)
    first, second = random.normal(size=(features.shape[1], 4)), random.normal(size=(4, 1))
    graph = behind(preprocessing_graph(columns), dense_network_graph([(first, np.ones(4)), (second, np.zeros(1))]))
    (answer,) = run(graph, feeds_of(rows), ["probabilities"])
    hidden = np.maximum(features @ first + 1, 0)
    expected = 1 / (1 + np.exp(-(hidden @ second)[:, 0]))
    np.testing.assert_allclose(answer[:, 1], expected, atol=1e-5)
    np.testing.assert_allclose(answer.sum(axis=1), 1, atol=1e-6)


def linear(shape: Sequence[Any] = ("N", 2), kind: int = TensorProto.FLOAT, outputs: int = 2) -> onnx.ModelProto:
    """Probabilities [N, outputs] as a softmax of a linear layer on one matrix input `x`."""
    width = shape[1] if len(shape) > 1 else 1
    weights = numpy_helper.from_array(np.arange(width * outputs, dtype=np.float32).reshape(width, outputs), "w")
    nodes = [
        helper.make_node("Cast", ["x"], ["cast"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["cast", "w"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["p"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("x", kind, list(shape))],
        [helper.make_tensor_value_info("p", TensorProto.FLOAT, ["N", outputs])],
        [weights],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)


def test_one_matrix_becomes_one_input_per_column_and_the_label_is_the_most_probable_class() -> None:
    form = serving_form(linear(), CLASSES, columns=["a b", "p"])  # a column may be called as a value inside
    assert dict(input_columns(form)) == {"a b": "float", "p": "float"}
    feeds = {"a b": np.float32([1, -1]), "p": np.float32([0, 0])}
    label, probabilities = run(form, feeds, ["label", "probabilities"])
    assert list(label) == ["yes", "no"]
    assert probabilities[0, 1] == pytest.approx(1 / (1 + np.exp(-1)))


def test_columns_of_one_cell_per_row_lose_their_second_dimension() -> None:
    form = serving_form(linear(shape=("N", 1), kind=TensorProto.INT64), CLASSES, columns=["age"])
    assert dict(input_columns(form)) == {"age": "long"}
    label, _ = run(form, {"age": np.int64([5, -5])}, ["label", "probabilities"])
    assert list(label) == ["yes", "no"]


@pytest.mark.parametrize(("positive", "expected"), [("yes", [0.25, 0.75]), ("no", [0.75, 0.25])])
def test_a_single_probability_is_that_of_the_positive_class(positive: str, expected: list[float]) -> None:
    graph = helper.make_graph(
        [helper.make_node("Identity", ["p"], ["score"])],
        "one",
        [helper.make_tensor_value_info("p", TensorProto.DOUBLE, ["N"])],
        [helper.make_tensor_value_info("score", TensorProto.DOUBLE, ["N"])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    form = serving_form(model, CLASSES, positive=positive)
    label, probabilities = run(form, {"p": np.array([0.75])}, ["label", "probabilities"])
    assert probabilities[0] == pytest.approx(expected)
    assert list(label) == [positive]


def test_a_label_of_the_graphs_own_is_kept() -> None:
    model = linear(shape=("N", 1))
    model.graph.node.append(helper.make_node("Reshape", ["x", "flat"], ["r"]))
    model.graph.node.append(helper.make_node("Greater", ["r", "zero"], ["big"]))
    model.graph.node.append(helper.make_node("Where", ["big", "no", "yes"], ["own"]))
    for name, array in (("flat", np.int64([-1])), ("zero", np.float32([0]))):
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    for name in CLASSES:
        model.graph.initializer.append(numpy_helper.from_array(np.array([name], dtype=object), name))
    model.graph.output.append(helper.make_tensor_value_info("own", TensorProto.STRING, ["N"]))
    label, _ = run(serving_form(model, CLASSES), {"x": np.float32([5, -5])}, ["label", "probabilities"])
    assert list(label) == ["no", "yes"]  # the opposite of the most probable


@pytest.mark.parametrize(
    ("model", "options", "said"),
    [
        (linear(), {}, "name them"),
        (linear(), {"columns": ["a"]}, "1 columns were named for a graph that takes 2"),
        (linear(), {"columns": ["a", "a"]}, "different names"),
        (linear(), {"columns": ["a", "label"]}, "none of them label"),
        (linear(outputs=3), {"columns": ["a", "b"]}, "probabilities of 2 classes"),
        (linear(kind=TensorProto.BOOL), {"columns": ["a", "b"]}, "BOOL"),
        (linear(shape=("N", 2, 2)), {}, "shape"),
    ],
)
def test_a_graph_that_does_not_fit_is_refused_with_what_to_do(
    model: onnx.ModelProto, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(UnfitGraph) as refusal:
        serving_form(model, CLASSES, **options)
    assert said in str(refusal.value)


@pytest.mark.parametrize("where", ["initializer", "attribute", "subgraph"])
def test_weights_in_another_file_are_refused_wherever_they_hide(where: str) -> None:
    model = linear()
    outside = TensorProto(name="out", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    outside.external_data.add(key="location", value="../../etc/passwd")
    if where == "initializer":
        model.graph.initializer.append(outside)
    elif where == "attribute":
        model.graph.node.append(helper.make_node("Constant", [], ["c"], value=outside))
    else:
        inner = helper.make_graph([helper.make_node("Constant", [], ["c"], value=outside)], "inner", [], [])
        model.graph.node.append(helper.make_node("If", ["flag"], ["c"], then_branch=inner, else_branch=inner))
    with pytest.raises(UnfitGraph, match="other files"):
        refuse_unsound(model)
