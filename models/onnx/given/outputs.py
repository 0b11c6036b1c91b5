"""Which of a graph's outputs are its probabilities and its label."""

from __future__ import annotations

from dataclasses import dataclass

import onnx
from onnx import TensorProto

from models.onnx.given.sound import UnfitGraph

_FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE)
_LABELS = (TensorProto.STRING, TensorProto.INT64, TensorProto.INT32)

Shape = tuple[int | None, ...]  # None: any length


@dataclass(frozen=True)
class Outputs:
    """`answer`: the output of probabilities; `probabilities`: the tensor of them, `shape` [N, K], [N] or [N, 1].

    They differ where the output is a ZipMap's. `label`: an output [N] of strings, or of whole numbers where
    `is_number`; None where there is none.
    """

    answer: str
    probabilities: str
    shape: Shape
    label: str | None
    is_number: bool


def find_outputs(model: onnx.ModelProto, classes: int) -> Outputs:
    """The outputs of a graph of so many classes. Raises UnfitGraph where none or several could be its probabilities."""
    graph = model.graph
    zipped = {node.output[0]: node.input[0] for node in final_zipmaps(graph)}
    if any(not value.type.HasField("tensor_type") for value in graph.output if value.name not in zipped):
        raise UnfitGraph("an output is no tensor but a sequence or map that no final ZipMap makes: export without it")
    whole: Shape = (None, classes)
    found = [(output, tensor, whole) for output, tensor in zipped.items()]
    if not found:
        tensors = [value for value in graph.output if _is_probabilities(value, classes)]
        found = [(value.name, value.name, shape_of(value)) for value in tensors]
    if len(found) != 1:
        raise UnfitGraph(
            f"{len(found)} outputs look like probabilities of {classes} classes; one must be floats [N, {classes}]. "
            f"The outputs: {', '.join(f'{value.name} {shape_of(value)}' for value in graph.output)}"
        )
    label = find_label(graph)
    is_number = label is not None and label.type.tensor_type.elem_type != TensorProto.STRING
    return Outputs(*found[0], label=None if label is None else label.name, is_number=is_number)


def find_label(graph: onnx.GraphProto) -> onnx.ValueInfoProto | None:
    """The first output [N] of strings, or else of whole numbers."""
    for kinds in (_LABELS[:1], _LABELS[1:]):
        for value in graph.output:
            if value.type.tensor_type.elem_type in kinds and len(shape_of(value)) == 1:
                return value
    return None


def final_zipmaps(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """The nodes that make an output of the graph a sequence of maps from class to probability."""
    outputs = {value.name for value in graph.output}
    return [node for node in graph.node if node.op_type == "ZipMap" and node.output[0] in outputs]


def shape_of(value: onnx.ValueInfoProto) -> Shape:
    """Its shape; the first length, that of the batch, always as None."""
    sizes = [dim.dim_value if dim.HasField("dim_value") else None for dim in value.type.tensor_type.shape.dim]
    return (None, *sizes[1:]) if sizes else ()


def _is_probabilities(value: onnx.ValueInfoProto, classes: int) -> bool:
    if value.type.tensor_type.elem_type not in _FLOATS:
        return False
    shape = shape_of(value)
    return (len(shape) == 2 and shape[1] in (None, classes)) or (classes == 2 and shape in ((None,), (None, 1)))
