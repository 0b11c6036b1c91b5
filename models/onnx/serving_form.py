"""Any classifier's ONNX graph in the form that workers serve: one input [N] per column, `label` and `probabilities`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto, compose, helper

from models.onnx.decision import MOST_PROBABLE, Decision
from models.onnx.given.classes import label_numbers
from models.onnx.given.outputs import final_zipmaps, find_outputs, shape_of
from models.onnx.given.sound import UnfitGraph as UnfitGraph
from models.onnx.given.sound import core_opset, refuse_unsound
from models.onnx.graph import IR_VERSION, OPSETS, GraphParts
from models.registry.spec import LABEL_OUTPUT, PROBABILITIES_OUTPUT
from models.scoring.session import first_line

# An input's element type and its name in an MLflow signature.
INPUT_TYPES: Mapping[int, str] = {
    TensorProto.STRING: "string",
    TensorProto.DOUBLE: "double",
    TensorProto.FLOAT: "float",
    TensorProto.INT64: "long",
}
_INNER = "_/inner/"  # before every name of the graph as it came: columns may be called anything


def serving_form(
    model: onnx.ModelProto,
    classes: Sequence[str],
    *,
    positive: str | None = None,
    columns: Sequence[str] | None = None,
    booleans: Collection[str] = (),
    decision: Decision = MOST_PROBABLE,
) -> onnx.ModelProto:
    """A copy of the graph whose inputs are rank-1 [N], and whose outputs are `label` [N] and `probabilities` [N, K].

    Inputs may be [N] or [N, 1] tensors of strings, doubles, floats or int64, renamed to `columns` in their order where
    given; or one matrix [N, F], whose F `columns` must be given. Outputs are found by type and shape: probabilities are
    floats [N, K] in the order of `classes`, or with two classes [N] or [N, 1], that of `positive` (the second where
    None); a ZipMap behind them is cut off. The label is a tensor [N] of strings, or of whole numbers, see
    `label_numbers`; where there is none it is the most probable class, the first of equals. What is added is valid in
    every operator set from OLDEST_OPSET on (with a Decision other than the default, from 18 on): the graph's own stays.
    Raises UnfitGraph.
    """
    refuse_unsound(model)
    inner = compose.add_prefix(model, _INNER)
    given = _inputs(inner)
    parts = GraphParts(prefix="_/form/")
    inputs = _feed(parts, given, columns, booleans)
    front = list(parts.nodes)
    outputs = _answer(parts, model, tuple(classes), positive, decision)
    back = parts.nodes[len(front) :]
    graph = inner.graph
    zipmaps = final_zipmaps(graph)
    nodes = [*front, *(node for node in graph.node if node not in zipmaps), *back]
    for field in (graph.node, graph.input, graph.output, graph.value_info):  # that may tell of another batch
        del field[:]
    graph.node.extend(nodes)
    graph.input.extend(inputs)
    graph.output.extend(outputs)
    graph.initializer.extend(parts.constants)
    if core_opset(inner) is None:
        inner.opset_import.append(helper.make_opsetid("", OPSETS[""]))
    inner.ir_version = max(inner.ir_version, IR_VERSION)  # of old ones every constant is an input too
    try:
        onnx.checker.check_model(inner)
    except onnx.checker.ValidationError as error:
        raise UnfitGraph(
            f"the graph could not be brought into the form that workers serve: {first_line(error)}"
        ) from None
    return inner


def input_columns(form: onnx.ModelProto) -> Mapping[str, str]:
    """Column → its type in an MLflow signature, in the order of the graph."""
    return {value.name: INPUT_TYPES[value.type.tensor_type.elem_type] for value in form.graph.input}


def _inputs(inner: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    fixed = {tensor.name for tensor in inner.graph.initializer}
    given = [value for value in inner.graph.input if value.name not in fixed]
    for value in given:
        kind = value.type.tensor_type.elem_type
        if kind not in INPUT_TYPES:
            name = TensorProto.DataType.Name(kind) if value.type.HasField("tensor_type") else "no tensor"
            raise UnfitGraph(f"input {_outer(value)!r} is {name}; an input must be STRING, DOUBLE, FLOAT or INT64")
    if not given:
        raise UnfitGraph("the graph has no inputs")
    return given


def _feed(
    parts: GraphParts, given: Sequence[onnx.ValueInfoProto], columns: Sequence[str] | None, booleans: Collection[str]
) -> list[onnx.ValueInfoProto]:
    """The new inputs [N], and in `parts` the nodes from them to the old ones."""
    shape = shape_of(given[0])
    matrix = len(given) == 1 and len(shape) == 2 and shape[1] != 1
    if matrix and not columns:
        raise UnfitGraph(
            f"input {_outer(given[0])!r} is one matrix of {shape[1] or 'any number of'} columns: "
            f"name them (--input-columns)"
        )
    names = list(columns) if columns else [_outer(value) for value in given]
    wanted = shape[1] if matrix else len(given)
    if wanted is not None and len(names) != wanted:
        raise UnfitGraph(f"{len(names)} columns were named for a graph that takes {wanted}")
    if len(set(names)) < len(names) or {LABEL_OUTPUT, PROBABILITIES_OUTPUT} & set(names):
        raise UnfitGraph(f"columns need different names, none of them {LABEL_OUTPUT} or {PROBABILITIES_OUTPUT}")
    kinds = [value.type.tensor_type.elem_type for value in given] * (len(names) if matrix else 1)
    words = {
        name: parts.words(name)
        for name, kind in zip(names, kinds, strict=True)
        if name in booleans and kind == TensorProto.STRING
    }
    if matrix:
        stacked = parts.add("Concat", *(parts.column(words.get(name, name)) for name in names), axis=1)
        parts.nodes.append(helper.make_node("Identity", [stacked], [given[0].name]))
    else:
        for name, value in zip(names, given, strict=True):
            if shape_of(value) not in ((None,), (None, 1)):
                raise UnfitGraph(f"input {_outer(value)!r} has the shape {shape_of(value)}; a column is [N] or [N, 1]")
            source = words.get(name, name)
            source = source if len(shape_of(value)) == 1 else parts.column(source)
            parts.nodes.append(helper.make_node("Identity", [source], [value.name]))
    return [
        helper.make_tensor_value_info(name, TensorProto.DOUBLE if name in words else kind, ["N"])
        for name, kind in zip(names, kinds, strict=True)
    ]


def _answer(
    parts: GraphParts, model: onnx.ModelProto, classes: tuple[str, ...], positive: str | None, decision: Decision
) -> list[onnx.ValueInfoProto]:
    """The two outputs, and in `parts` the nodes that lead to them from those of `model`, behind the prefix."""
    found = find_outputs(model, len(classes))
    value = parts.add("Cast", _INNER + found.probabilities, to=TensorProto.FLOAT)
    if len(found.shape) == 1 or (found.shape[-1] == 1 and len(classes) == 2):
        column = value if len(found.shape) == 2 else parts.column(value)
        other = parts.add("Sub", parts.constant(np.float32(1.0)), column)
        pair = [column, other] if positive == classes[0] else [other, column]
        value = parts.add("Concat", *pair, axis=1)
    parts.nodes.append(helper.make_node("Identity", [value], [PROBABILITIES_OUTPUT]))
    if found.label is not None and not found.is_number:
        parts.nodes.append(helper.make_node("Identity", [_INNER + found.label], [LABEL_OUTPUT]))
    else:
        if found.label is None:
            chosen = _chosen(parts, value, decision)
        else:
            chosen = _counted(parts, _INNER + found.label, label_numbers(model, classes))
        parts.nodes.append(helper.make_node("Gather", [parts.constant(list(classes)), chosen], [LABEL_OUTPUT]))
    return [
        helper.make_tensor_value_info(LABEL_OUTPUT, TensorProto.STRING, ["N"]),
        helper.make_tensor_value_info(PROBABILITIES_OUTPUT, TensorProto.FLOAT, ["N", len(classes)]),
    ]


def _counted(parts: GraphParts, label: str, numbers: Sequence[int]) -> str:
    """The place [N] that each row's whole number has among `numbers`."""
    column = parts.column(parts.add("Cast", label, to=TensorProto.INT64))
    same = parts.add("Equal", column, parts.constant(np.array([numbers], dtype=np.int64)))
    return parts.add("ArgMax", parts.add("Cast", same, to=TensorProto.FLOAT), axis=1, keepdims=0)


def _chosen(parts: GraphParts, probabilities: str, decision: Decision) -> str:
    """The place [N] of each row's class."""
    if decision.threshold is None and decision.draw == 0:
        return parts.add("ArgMax", probabilities, axis=1, keepdims=0)
    draw = parts.constant(np.float32(decision.draw))
    if decision.threshold is None:
        best = parts.add("ReduceMax", probabilities, parts.constant(np.array([1], dtype=np.int64)), keepdims=1)
        is_best = parts.add("GreaterOrEqual", probabilities, parts.add("Sub", best, draw))
        return parts.add("ArgMax", parts.add("Cast", is_best, to=TensorProto.FLOAT), axis=1, keepdims=0)
    places = [parts.constant(np.array(place, dtype=np.int64)) for place in (decision.positive, 1 - decision.positive)]
    one = parts.add("Gather", probabilities, places[0], axis=1)
    reached = parts.add("Sub", parts.constant(np.float32(decision.threshold)), draw)
    return parts.add("Where", parts.add("GreaterOrEqual", one, reached), *places)


def _outer(value: onnx.ValueInfoProto) -> str:
    return str(value.name).removeprefix(_INNER)
