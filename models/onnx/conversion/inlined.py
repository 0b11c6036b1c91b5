"""One graph inside another, and a graph without what its output does not need."""

from __future__ import annotations

from collections.abc import Sequence

import onnx
from onnx import compose, helper

from models.onnx.graph import IR_VERSION, OPSETS, GraphParts


def inlined(parts: GraphParts, model: onnx.ModelProto, sources: Sequence[str]) -> str:
    """Adds the nodes of `model`, its inputs fed from the values `sources`; the name of its first output."""
    named = compose.add_prefix(model, f"_/{len(parts.nodes)}/")
    fixed = {tensor.name for tensor in named.graph.initializer}
    given = [value.name for value in named.graph.input if value.name not in fixed]
    for source, name in zip(sources, given, strict=True):
        parts.nodes.append(helper.make_node("Identity", [source], [name]))
    parts.nodes.extend(named.graph.node)
    parts.constants.extend(named.graph.initializer)
    return str(named.graph.output[0].name)


def pruned(parts: GraphParts, inputs: Sequence[onnx.ValueInfoProto], output: onnx.ValueInfoProto) -> onnx.ModelProto:
    """The model that gives `output`, without inputs, nodes and constants that do not lead to it."""
    needed, kept = {output.name}, []
    for node in reversed(parts.nodes):  # a node stands behind those that it takes values from
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(node.input)
    constants = [tensor for tensor in parts.constants if tensor.name in needed]
    graph = helper.make_graph(
        kept[::-1], "model", [value for value in inputs if value.name in needed], [output], constants
    )
    others = {node.domain for node in kept} - set(OPSETS) - {"ai.onnx"}
    opsets = [helper.make_opsetid(*pair) for pair in {**OPSETS, **dict.fromkeys(others, 1)}.items()]
    return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
