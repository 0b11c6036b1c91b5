"""Converters of skl2onnx's, replaced for a while by our own, which may call what they replace."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from skl2onnx.common import _registration

from models.onnx.graph import OPSETS, GraphParts

Converter = Callable[..., None]  # of (scope, operator, container)
Shape = Callable[..., None]  # of (operator)
Replacements = Mapping[str, Callable[[Converter], Converter]]  # skl2onnx's name → theirs to ours


@contextmanager
def replaced(replacements: Replacements, shapes: Mapping[str, Shape]) -> Iterator[None]:
    """While it lasts skl2onnx converts by our own."""
    pool, of_shapes = _registration._converter_pool, _registration._shape_calculator_pool
    theirs = {name: pool[name] for name in replacements}
    their_shapes = {name: of_shapes[name] for name in shapes}
    for name, ours in replacements.items():
        pool[name] = _registration.RegisteredConverter(ours(theirs[name]._fct), theirs[name]._options)
    of_shapes.update(shapes)
    try:
        yield
    finally:
        pool.update(theirs)
        of_shapes.update(their_shapes)


@contextmanager
def add_parts(scope: Any, operator: Any, container: Any) -> Iterator[GraphParts]:
    """Parts of a graph that become a part of skl2onnx's."""
    parts = GraphParts(prefix=f"_/{scope.get_unique_operator_name(type(operator.raw_operator).__name__)}/")
    yield parts
    container.nodes.extend(parts.nodes)
    container.initializers.extend(parts.constants)
    container.node_domain_version_pair_sets.update(OPSETS.items())
