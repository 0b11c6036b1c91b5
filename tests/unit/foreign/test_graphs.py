"""Graphs of any operator set, with labels of any kind and classes of their own, are served as they are; or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import TensorProto, helper, numpy_helper

from models.onnx.given.classes import agreed_classes
from models.onnx.given.sound import UnfitGraph
from models.training.elsewhere.asked import ask
from models.training.elsewhere.original import refuse_other_answers
from models.training.foreign import foreign_candidate
from models.training.register import Candidate, RegistrationRefused

ROWS = pd.DataFrame({"a": [0.0, 1.0, -3.0], "b": [1.0, 2.0, -5.0]})
EXPECTED = [1 / (1 + np.exp(-x)) for x in (1.0, 3.0, -8.0)]  # a + b in a logistic function


def linear(opset: int = 17, batch: Any = "N", label: int | None = None, reshaped: bool = False) -> onnx.ModelProto:
    """Probabilities of two classes by a softmax on a + b, and where asked for the place of the more probable one."""
    constants = [
        numpy_helper.from_array(np.float32([[0, 1], [0, 1]]), "weights"),
        numpy_helper.from_array(np.int64([batch, 2] if reshaped else [-1, 2]), "shape"),
    ]
    nodes = [
        helper.make_node("Reshape", ["x", "shape"], ["rows"]),
        helper.make_node("MatMul", ["rows", "weights"], ["sums"]),
        helper.make_node("Softmax", ["sums"], ["p"], axis=1),
    ]
    outputs = [helper.make_tensor_value_info("p", TensorProto.FLOAT, [batch, 2])]
    if label is not None:
        nodes.append(helper.make_node("ArgMax", ["p"], ["place"], axis=1, keepdims=0))
        nodes.append(helper.make_node("Cast", ["place"], ["class"], to=label))
        outputs.insert(0, helper.make_tensor_value_info("class", label, [batch]))
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 2])]
    graph = helper.make_graph(nodes, "linear", inputs, outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def trees(version: int, *, zipmap: bool, texts: bool = False) -> onnx.ModelProto:
    """One stump: the second class above 0.5 in the first column. Of ONNX's own operators it has none."""
    names: dict[str, Any] = {"classlabels_strings": ["no", "yes"]} if texts else {"classlabels_int64s": [3, 7]}
    stump = {
        "nodes_treeids": [0, 0, 0],
        "nodes_nodeids": [0, 1, 2],
        "nodes_featureids": [0, 0, 0],
        "nodes_values": [0.5, 0.0, 0.0],
        "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"],
        "nodes_truenodeids": [1, 0, 0],
        "nodes_falsenodeids": [2, 0, 0],
        "class_treeids": [0, 0],
        "class_nodeids": [1, 2],
        "class_ids": [0, 0],  # as skl2onnx writes two classes: the weight is the second one's
        "class_weights": [0.25, 0.875],
    }
    domain = "ai.onnx.ml"
    nodes = [helper.make_node("TreeEnsembleClassifier", ["x"], ["label", "scores"], domain=domain, **stump, **names)]
    kind = TensorProto.STRING if texts else TensorProto.INT64
    answer = helper.make_tensor_value_info("scores", TensorProto.FLOAT, [None, 2])
    if zipmap:
        nodes.append(helper.make_node("ZipMap", ["scores"], ["answer"], domain=domain, **names))
        row = helper.make_map_type_proto(kind, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
        answer = helper.make_value_info("answer", helper.make_sequence_type_proto(row))
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 2])]
    outputs = [helper.make_tensor_value_info("label", kind, [None]), answer]
    graph = helper.make_graph(nodes, "trees", inputs, outputs)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid(domain, version)], ir_version=3)


def candidate(folder: Path, model: onnx.ModelProto, classes: list[str] | None = None) -> Candidate:
    onnx.save(model, folder / "given.onnx")
    ROWS.to_csv(folder / "rows.csv", index=False)
    return foreign_candidate(folder / "given.onnx", classes=classes, columns=["a", "b"], example=folder / "rows.csv")[0]


@pytest.mark.parametrize("opset", [7, 9, 11, 13, 18, 21, 23, 25])
def test_an_operator_set_is_left_as_it_is(tmp_path: Path, opset: int) -> None:
    made = candidate(tmp_path, linear(opset, label=TensorProto.INT64), ["no", "yes"])

    assert [(one.domain, one.version) for one in made.graph.opset_import] == [("", opset)]
    scores = made.score(ROWS)
    np.testing.assert_allclose(scores.probabilities[:, 1], EXPECTED, atol=1e-6)
    assert list(scores.labels) == ["yes", "yes", "no"]


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize("zipmap", [False, True])
@pytest.mark.parametrize(("texts", "classes"), [(True, ("no", "yes")), (False, ("3", "7"))])
def test_a_graph_of_trees_alone_says_its_classes(
    tmp_path: Path, version: int, zipmap: bool, texts: bool, classes: tuple[str, ...]
) -> None:
    made = candidate(tmp_path, trees(version, zipmap=zipmap, texts=texts))

    assert made.classes == classes
    scores = made.score(ROWS)
    assert list(scores.labels) == [classes[0], classes[1], classes[0]]
    assert scores.probabilities.tolist() == [[0.75, 0.25], [0.125, 0.875], [0.75, 0.25]]


def deciding_otherwise(below: float) -> onnx.ModelProto:
    """`trees`, which says yes where the first column is below a bound too, whatever the probabilities."""
    model = trees(1, zipmap=True, texts=True)
    constants = {"first": np.int64(0), "bound": np.float32(below), "yes": np.array(["yes"], dtype=object)}
    model.graph.node.extend(
        [
            helper.make_node("Gather", ["x", "first"], ["column"], axis=1),
            helper.make_node("Less", ["column", "bound"], ["low"]),
            helper.make_node("Where", ["low", "yes", "label"], ["decided"]),
        ]
    )
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    model.graph.output[0].name = "decided"
    model.opset_import.append(helper.make_opsetid("", 17))
    model.ir_version = 8
    return model


def test_a_graph_that_names_its_classes_may_decide_by_another_rule(tmp_path: Path) -> None:
    made = candidate(tmp_path, deciding_otherwise(below=-1000))

    assert list(made.score(ROWS.assign(a=[-2000, 1, 0])).labels) == ["yes", "yes", "no"]
    with pytest.raises(RegistrationRefused, match="in the order 'yes', 'yes'"):
        candidate(tmp_path, deciding_otherwise(below=1000))


def test_classes_that_are_numbers_may_be_named(tmp_path: Path) -> None:
    made = candidate(tmp_path, trees(1, zipmap=True), ["stays", "leaves"])

    assert list(made.score(ROWS).labels) == ["stays", "leaves", "stays"]


@pytest.mark.parametrize(
    ("model", "classes", "said"),
    [
        (linear(), None, "name them in the order of the probabilities (--classes)"),
        (trees(1, zipmap=True), ["7", "3"], "own classes are, in the order of its probabilities, 3, 7, and 7, 3 were"),
        (trees(1, zipmap=False, texts=True), ["yes", "no"], "leave --classes out"),
        (trees(1, zipmap=False, texts=True), ["stays", "leaves"], "leave --classes out"),
        (trees(1, zipmap=True), ["a", "b", "c"], "leave --classes out"),
        (linear(), ["only"], "two or more"),
    ],
)
def test_classes_that_do_not_go_with_the_graph_are_refused(
    model: onnx.ModelProto, classes: list[str] | None, said: str
) -> None:
    with pytest.raises(UnfitGraph) as refusal:
        agreed_classes(model, classes)

    assert said in str(refusal.value)


@pytest.mark.parametrize("kind", [TensorProto.INT64, TensorProto.INT32])
def test_a_label_of_numbers_means_the_class_of_that_name_or_of_that_place(tmp_path: Path, kind: int) -> None:
    for classes in (["0", "1"], ["no", "yes"]):
        made = candidate(tmp_path, linear(label=kind), classes)

        assert list(made.score(ROWS).labels) == [classes[1], classes[1], classes[0]]


@pytest.mark.parametrize("classes", [["1", "0"], ["1", "2"]])
def test_a_label_of_numbers_in_another_order_is_refused(tmp_path: Path, classes: list[str]) -> None:
    with pytest.raises(RegistrationRefused, match="name the classes in the order of the probabilities"):
        candidate(tmp_path, linear(label=TensorProto.INT64), classes)


def test_a_batch_that_only_the_inputs_tell_of_does_not_matter(tmp_path: Path) -> None:
    made = candidate(tmp_path, linear(batch=2), ["no", "yes"])

    np.testing.assert_allclose(made.score(ROWS).probabilities[:, 1], EXPECTED, atol=1e-6)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (linear(batch=2, reshaped=True), "; the graph says that it takes 2 rows at a time: export it for any number"),
        (linear(opset=6), "operator set 6, and onnxruntime runs those from 7 on"),
    ],
)
def test_what_cannot_serve_is_refused_with_the_remedy(tmp_path: Path, model: onnx.ModelProto, said: str) -> None:
    with pytest.raises((RegistrationRefused, UnfitGraph)) as refusal:
        candidate(tmp_path, model, ["no", "yes"])

    assert said in str(refusal.value)


def test_an_operator_of_somebody_s_own_is_refused(tmp_path: Path) -> None:
    model = linear()
    model.opset_import.append(helper.make_opsetid("my.own", 1))
    model.graph.node[1].domain = "my.own"

    with pytest.raises(RegistrationRefused, match=r"my\.own:MatMul.* is not a registered function/op"):
        candidate(tmp_path, model, ["no", "yes"])


@pytest.mark.parametrize("label", [None, TensorProto.INT64])
def test_a_form_that_answers_otherwise_than_its_file_is_refused(tmp_path: Path, label: int | None) -> None:
    made, other = candidate(tmp_path, linear(label=label), ["no", "yes"]), linear(label=label)
    refuse_other_answers(other, made, ask(made, ROWS))

    other.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.float32([[0, 1], [0, 1.001]]), "weights"))

    with pytest.raises(RegistrationRefused, match="answers otherwise than in the file on"):
        refuse_other_answers(other, made, ask(made, ROWS))


def test_a_label_that_parts_from_its_file_s_is_refused(tmp_path: Path) -> None:
    made, other = candidate(tmp_path, linear(), ["no", "yes"]), linear(label=TensorProto.INT64)
    other.graph.node[3].op_type = "ArgMin"

    with pytest.raises(RegistrationRefused, match="answers otherwise than in the file on"):
        refuse_other_answers(other, made, ask(made, ROWS))


def test_columns_in_which_the_graph_takes_no_gap_are_told(tmp_path: Path) -> None:
    # given a graph that gives NaN where `a` or `b` is NaN, and an example that has such rows
    onnx.save(linear(), tmp_path / "given.onnx")
    pd.concat([ROWS, ROWS.assign(b=np.nan)]).to_csv(tmp_path / "rows.csv", index=False)

    made, rows = foreign_candidate(
        tmp_path / "given.onnx", classes=["no", "yes"], columns=["a", "b"], example=tmp_path / "rows.csv"
    )

    assert made.no_gaps == ("a", "b")
    pd.testing.assert_frame_equal(rows, ROWS)


def test_an_example_of_nothing_but_gaps_is_refused(tmp_path: Path) -> None:
    onnx.save(linear(), tmp_path / "given.onnx")
    ROWS.assign(b=np.nan).to_csv(tmp_path / "rows.csv", index=False)

    with pytest.raises(RegistrationRefused, match="takes no gaps in the columns"):
        foreign_candidate(
            tmp_path / "given.onnx", classes=["no", "yes"], columns=["a", "b"], example=tmp_path / "rows.csv"
        )
