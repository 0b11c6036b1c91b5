"""Whether a graph is valid, whole, and of an operator set that onnxruntime still runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import onnx
from onnx import TensorProto

from models.scoring.session import first_line

OLDEST_OPSET = 7  # older ones onnxruntime does not run


class UnfitGraph(Exception):
    """This graph cannot become a version; the text says why and what to do."""


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
        raise UnfitGraph(f"this is no valid ONNX graph: {first_line(error)}") from None
    opset = core_opset(model)
    if opset is not None and opset < OLDEST_OPSET:
        raise UnfitGraph(
            f"the graph is written for operator set {opset}, and onnxruntime runs those from {OLDEST_OPSET} on: "
            f"export the model again for a newer one"
        )


def core_opset(model: onnx.ModelProto) -> int | None:
    """The version of ONNX's own operators that the graph is written for; None where it uses none of them."""
    return next((one.version for one in model.opset_import if one.domain in ("", "ai.onnx")), None)


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
