"""Boosted trees as nodes of an ONNX graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import TensorProto, numpy_helper

from models.onnx.codes import codes
from models.onnx.columns import Given
from models.onnx.forest import rounded_down
from models.onnx.graph import GraphParts
from models.onnx.trees.boosted import Boosted, Categories, Leaf, branches
from models.onnx.unfit import UnfitStep

ZERO = float(np.float32(1e-35))  # LightGBM takes what is so close to zero for zero
Members = dict[tuple[int, frozenset[int]], int]  # (feature, set of codes) → the column that says whether it is in there


def sums(parts: GraphParts, boosted: Boosted, given: Given) -> str:
    """The sums [N, S] of the trees, float32; numbers are given as doubles."""
    order = range(given.width) if boosted.order is None else boosted.order
    if odd := [at for at in given.texts if at not in {order[feature] for feature in boosted.categories}]:
        raise UnfitStep(f"column {given.names[odd[0]]!r} is of texts, and it was fitted on numbers there")
    members = _members(boosted)
    numbers, place_of = given.numbers(parts)
    pieces = [_numbers(parts, boosted, numbers, [place_of.get(at) for at in order])] if numbers else []
    for feature, categories in boosted.categories.items():
        if sets := [asked for of, asked in members if of == feature]:
            at = order[feature]
            places = codes(
                parts,
                given.column(parts, at),
                categories.keys,
                text=at in given.texts,
                whole=categories.whole,
                closed=categories.closed,
            )
            table = _table(categories, sets).astype(np.float64 if boosted.doubles else np.float32)
            pieces.append(parts.add("Gather", parts.constant(table), places))
    for at, key in enumerate(members):
        members[key] = len(place_of) + at
    matrix = parts.add("Concat", *pieces, axis=1)
    place = {feature: place_of[at] for feature, at in enumerate(order) if at in place_of}
    made = parts.add("TreeEnsembleRegressor", matrix, domain="ai.onnx.ml", **_attributes(boosted, place, members))
    return made if boosted.scale == 1.0 else parts.add("Mul", made, parts.constant(np.float32(boosted.scale)))


def probabilities(parts: GraphParts, boosted: Boosted, value: str) -> str:
    """The sums as probabilities, float32 [N, K]."""
    if boosted.link == "softmax":
        return parts.add("Softmax", value, axis=1)
    steep = parts.add("Mul", value, parts.constant(np.float32(boosted.slope)))
    return parts.add("Concat", parts.add("Sigmoid", parts.add("Neg", steep)), parts.add("Sigmoid", steep), axis=1)


def _members(boosted: Boosted) -> Members:
    """Each set of codes that is asked for, in the order of its feature; the places come later."""
    found = dict.fromkeys(key for key in branches(boosted) if isinstance(key[1], frozenset))
    return {key: 0 for feature in boosted.categories for key in found if key[0] == feature}


def _numbers(parts: GraphParts, boosted: Boosted, value: str, places: Sequence[int | None]) -> str:
    """A matrix of doubles as the trees compare it; `places`: of each feature in there."""
    gap = parts.constant(np.array(np.nan))
    if boosted.single:
        value = parts.add("Cast", value, to=TensorProto.FLOAT)
        value = parts.add("Cast", value, to=TensorProto.DOUBLE)
    if boosted.missing is not None:
        is_gap = parts.add("Equal", value, parts.constant(np.array(float(np.float32(boosted.missing)))))
        value = parts.add("Where", is_gap, gap, value)
    if boosted.flat or boosted.zero:
        wide = sum(place is not None for place in places)
        reach, instead = np.full((1, wide), ZERO if boosted.flat else -1.0), np.zeros((1, wide))
        of_gaps = [place for feature in boosted.zero if (place := places[feature]) is not None]
        reach[0, of_gaps], instead[0, of_gaps] = ZERO, np.nan
        is_zero = parts.add("LessOrEqual", parts.add("Abs", value), parts.constant(reach))
        value = parts.add("Where", is_zero, parts.constant(instead), value)
    return parts.add("Cast", value, to=TensorProto.DOUBLE if boosted.doubles else TensorProto.FLOAT)


def _table(categories: Categories, sets: Sequence[frozenset[int]]) -> np.ndarray[Any, Any]:
    """[codes + 1, sets] 0 where the code is in the set, 1 where not, NaN for gaps."""
    table = np.ones((len(categories.keys) + 1, len(sets)))
    for at, members in enumerate(sets):
        table[[code for code in members if code < len(categories.keys)], at] = 0.0
    table[[*categories.gaps, len(categories.keys)]] = np.nan
    return table


def _attributes(boosted: Boosted, place: dict[int, int], members: Members) -> dict[str, Any]:
    """A TreeEnsembleRegressor's, of ai.onnx.ml 3."""
    names = ("treeids", "nodeids", "modes", "featureids", "values", "missing_value_tracks_true")
    nodes: dict[str, list[Any]] = {name: [] for name in (*names, "truenodeids", "falsenodeids")}
    targets: dict[str, list[Any]] = {name: [] for name in ("treeids", "nodeids", "ids", "weights")}
    mode = "BRANCH_LT" if boosted.below else "BRANCH_LEQ"
    for tree, (target, root) in enumerate(boosted.trees):
        for number, (node, yes, no) in enumerate(_flat(root)):
            if isinstance(node, Leaf):
                cells: tuple[Any, ...] = ("LEAF", 0, 0.0, 0)
                for of, weight in enumerate(node.values) if len(node.values) > 1 else [(target, node.values[0])]:
                    _append(targets, tree, number, of, float(weight))
            elif isinstance(node.upto, frozenset):
                cells = (mode, members[node.feature, node.upto], 0.5, int(node.gap))
            else:
                cells = (mode, place[node.feature], float(node.upto), int(node.gap))
            _append(nodes, tree, number, *cells, yes, no)
    if not (boosted.doubles or boosted.below):
        nodes["values"] = rounded_down(np.array(nodes["values"])).tolist()
    attributes: dict[str, Any] = {f"nodes_{name}": cells for name, cells in nodes.items()}
    attributes |= {f"target_{name}": cells for name, cells in targets.items()}
    attributes |= {"n_targets": len(boosted.base), "base_values": [float(value) for value in boosted.base]}
    if boosted.doubles:
        for name in ("nodes_values", "target_weights", "base_values"):
            attributes[f"{name}_as_tensor"] = numpy_helper.from_array(np.array(attributes.pop(name)), name)
    return attributes


def _append(lists: dict[str, list[Any]], *cells: Any) -> None:
    for held, cell in zip(lists.values(), cells, strict=True):
        held.append(cell)


def _flat(root: Any) -> list[tuple[Any, int, int]]:
    """Each node with the numbers of its two followers (0 for a leaf); the root first, `no` right behind its branch."""
    flat: list[tuple[Any, int, int]] = []
    left: list[tuple[Any, int, bool]] = [(root, -1, False)]
    while left:
        node, above, is_yes = left.pop()
        number = len(flat)
        flat.append((node, 0, 0))
        if above >= 0:
            branch, yes, no = flat[above]
            flat[above] = (branch, number, no) if is_yes else (branch, yes, number)
        if not isinstance(node, Leaf):
            left += [(node.yes, number, True), (node.no, number, False)]
    return flat
