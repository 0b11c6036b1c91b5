"""The classes that a graph names itself, and how they go with those that were named for it."""

from __future__ import annotations

from collections.abc import Sequence

import onnx
from onnx import helper, numpy_helper

from models.onnx.given.outputs import final_zipmaps, find_label
from models.onnx.given.sound import UnfitGraph

# The classes in an operator's attributes, in the order of its probabilities: LinearClassifier's are called otherwise.
_ATTRIBUTES = ("classlabels_strings", "classlabels_int64s", "classlabels_ints")
_PASS_ON = ("Identity", "Cast", "Reshape", "Squeeze", "Flatten")  # the same label in another form

Classes = tuple[str, ...] | tuple[int, ...]


def own_classes(model: onnx.ModelProto) -> Classes | None:
    """The classes, in the order of the probabilities, of a final ZipMap or of the operator that the label comes from.

    None where the graph does not say.
    """
    graph = model.graph
    for node in final_zipmaps(graph):
        return _named(node)
    label = find_label(graph)
    made_by = {output: node for node in graph.node for output in node.output}
    node = None if label is None else made_by.get(label.name)
    while node is not None and node.op_type in _PASS_ON:
        node = made_by.get(node.input[0])
    if node is None:
        return None
    if node.op_type == "ArrayFeatureExtractor":  # skl2onnx: the classes, and which of them
        constants = {tensor.name: tensor for tensor in graph.initializer}
        return _texts(numpy_helper.to_array(constants[node.input[0]])) if node.input[0] in constants else None
    return _named(node)


def agreed_classes(model: onnx.ModelProto, given: Sequence[str] | None) -> tuple[str, ...]:
    """The classes in the order of the probabilities: those `given`, or where None the graph's own.

    Where the graph's own are whole numbers, `given` may be other names for them. Raises UnfitGraph where neither says
    them, or the two do not go together.
    """
    own = own_classes(model)
    texts = None if own is None else tuple(map(str, own))
    classes = texts if given is None else tuple(map(str, given))
    if classes is None:
        raise UnfitGraph("the graph does not say its classes: name them in the order of the probabilities (--classes)")
    if len(set(classes)) < 2 or len(set(classes)) < len(classes):
        raise UnfitGraph(f"two or more different classes are needed, in the order of the probabilities: {classes}")
    if own is None or classes == texts:
        return classes
    if len(own) != len(classes) or isinstance(own[0], str) or set(classes) == set(map(str, own)):
        raise UnfitGraph(
            f"the graph's own classes are, in the order of its probabilities, {', '.join(map(str, own))}, and "
            f"{', '.join(classes)} were named: leave --classes out"
        )
    return classes


def label_numbers(model: onnx.ModelProto, classes: Sequence[str]) -> tuple[int, ...]:
    """The whole number by which a label output of such means each class: its own, the class itself, or its place."""
    own = own_classes(model)
    if own is not None and not isinstance(own[0], str):
        return tuple(map(int, own))
    try:
        return tuple(map(int, classes))
    except ValueError:
        return tuple(range(len(classes)))


def _named(node: onnx.NodeProto) -> Classes | None:
    attributes = {one.name: helper.get_attribute_value(one) for one in node.attribute}
    return next((_texts(attributes[name]) for name in _ATTRIBUTES if attributes.get(name)), None)


def _texts(values: Sequence[bytes | str | int]) -> Classes | None:
    if all(isinstance(value, bytes | str) for value in values):
        return tuple(value.decode() if isinstance(value, bytes) else str(value) for value in values)
    try:
        return tuple(int(value) for value in values)
    except ValueError:
        return None
