"""Any classifier's ONNX graph in the form that workers serve: one input [N] per column, `label` and `probabilities`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto, compose, helper

from models.onnx.decision import MOST_PROBABLE, Decision
from models.onnx.graph import GraphParts
from models.registry.spec import LABEL_OUTPUT, PROBABILITIES_OUTPUT

# An input's element type and its name in an MLflow signature.
INPUT_TYPES: Mapping[int, str] = {
    TensorProto.STRING: "string",
    TensorProto.DOUBLE: "double",
    TensorProto.FLOAT: "float",
    TensorProto.INT64: "long",
}
_FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE)
_INNER = "_/inner/"  # before every name of the graph as it came: columns may be called anything

Shape = tuple[int | None, ...]  # None: any length


class UnfitGraph(Exception):
    """This graph cannot become a version; the text says why and what to do."""


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
    None). The label is a string tensor [N]; where there is none it is the most probable class, the first of equals.
    Raises UnfitGraph.
    """
    refuse_unsound(model)
    inner = compose.add_prefix(model, _INNER)
    given = _inputs(inner)
    parts = GraphParts(prefix="_/form/")
    inputs = _feed(parts, given, columns, booleans)
    front = list(parts.nodes)
    parts.nodes.clear()
    outputs = _answer(parts, inner, tuple(classes), positive, decision)
    back = list(parts.nodes)
    graph = inner.graph
    nodes = [*front, *graph.node, *back]
    for field in (graph.node, graph.input, graph.output):
        del field[:]
    graph.node.extend(nodes)
    graph.input.extend(inputs)
    graph.output.extend(outputs)
    graph.initializer.extend(parts.constants)
    try:
        onnx.checker.check_model(inner)
    except onnx.checker.ValidationError as error:
        raise UnfitGraph(f"the graph could not be brought into the form that workers serve: {_line(error)}") from None
    return inner


def refuse_unsound(model: onnx.ModelProto) -> None:
    """Raises UnfitGraph unless this is a valid graph with all of its weights inside."""
    outside = [tensor.name for tensor in _tensors(model) if tensor.data_location == TensorProto.EXTERNAL]
    if outside:
        raise UnfitGraph(
            f"the graph keeps weights in other files ({', '.join(outside[:3])}), and a version is one file: where it "
            f"lies, load it with onnx.load and save it with onnx.save_model(…, save_as_external_data=False)"
        )
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise UnfitGraph(f"this is no valid ONNX graph: {_line(error)}") from None


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
    shape = _shape(given[0])
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
            if _shape(value) not in ((None,), (None, 1)):
                raise UnfitGraph(f"input {_outer(value)!r} has the shape {_shape(value)}; a column is [N] or [N, 1]")
            source = words.get(name, name)
            source = source if len(_shape(value)) == 1 else parts.column(source)
            parts.nodes.append(helper.make_node("Identity", [source], [value.name]))
    return [
        helper.make_tensor_value_info(name, TensorProto.DOUBLE if name in words else kind, ["N"])
        for name, kind in zip(names, kinds, strict=True)
    ]


def _answer(
    parts: GraphParts, inner: onnx.ModelProto, classes: tuple[str, ...], positive: str | None, decision: Decision
) -> list[onnx.ValueInfoProto]:
    """The two outputs, and in `parts` the nodes that lead to them."""
    outputs = list(inner.graph.output)
    if any(not value.type.HasField("tensor_type") for value in outputs):
        raise UnfitGraph("an output is no tensor but a sequence or map: convert with options={'zipmap': False}")
    found = [value for value in outputs if _is_probabilities(value, len(classes))]
    if len(found) != 1:
        raise UnfitGraph(
            f"{len(found)} outputs look like probabilities of {len(classes)} classes; one must be floats "
            f"[N, {len(classes)}]. The outputs: {', '.join(f'{_outer(v)} {_shape(v)}' for v in outputs)}"
        )
    value = parts.add("Cast", found[0].name, to=TensorProto.FLOAT)
    shape = _shape(found[0])
    if len(shape) == 1 or (shape[-1] == 1 and len(classes) == 2):
        column = value if len(shape) == 2 else parts.column(value)
        other = parts.add("Sub", parts.constant(np.float32(1.0)), column)
        pair = [column, other] if positive == classes[0] else [other, column]
        value = parts.add("Concat", *pair, axis=1)
    parts.nodes.append(helper.make_node("Identity", [value], [PROBABILITIES_OUTPUT]))
    texts = [
        output
        for output in outputs
        if output.type.tensor_type.elem_type == TensorProto.STRING and len(_shape(output)) == 1
    ]
    if texts:
        parts.nodes.append(helper.make_node("Identity", [texts[0].name], [LABEL_OUTPUT]))
    else:
        chosen = _chosen(parts, value, decision)
        parts.nodes.append(helper.make_node("Gather", [parts.constant(list(classes)), chosen], [LABEL_OUTPUT]))
    return [
        helper.make_tensor_value_info(LABEL_OUTPUT, TensorProto.STRING, ["N"]),
        helper.make_tensor_value_info(PROBABILITIES_OUTPUT, TensorProto.FLOAT, ["N", len(classes)]),
    ]


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


def _is_probabilities(value: onnx.ValueInfoProto, classes: int) -> bool:
    if value.type.tensor_type.elem_type not in _FLOATS:
        return False
    shape = _shape(value)
    return (len(shape) == 2 and shape[1] in (None, classes)) or (classes == 2 and shape in ((None,), (None, 1)))


def _shape(value: onnx.ValueInfoProto) -> Shape:
    """Its shape; the first length, that of the batch, always as None."""
    sizes = [dim.dim_value if dim.HasField("dim_value") else None for dim in value.type.tensor_type.shape.dim]
    return (None, *sizes[1:]) if sizes else ()


def _outer(value: onnx.ValueInfoProto) -> str:
    return str(value.name).removeprefix(_INNER)


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    for function in model.functions:
        yield from _node_tensors(function.node)
    yield from _graph_tensors(model.graph)


def _graph_tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    yield from _node_tensors(graph.node)


def _node_tensors(nodes: Sequence[onnx.NodeProto]) -> Iterator[onnx.TensorProto]:
    for node in nodes:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for graph in (attribute.g, *attribute.graphs):
                yield from _graph_tensors(graph)


def _line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:300]
