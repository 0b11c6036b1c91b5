"""Converters of skl2onnx's, replaced for a while by our own, which may call what they replace."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from skl2onnx.common import _registration

Converter = Callable[..., None]  # of (scope, operator, container)
Replacements = Mapping[str, Callable[[Converter], Converter]]  # skl2onnx's name → theirs to ours


@contextmanager
def replaced(replacements: Replacements) -> Iterator[None]:
    """While it lasts skl2onnx converts by our own."""
    pool = _registration._converter_pool
    theirs = {name: pool[name] for name in replacements}
    for name, ours in replacements.items():
        pool[name] = _registration.RegisteredConverter(ours(theirs[name]._fct), theirs[name]._options)
    try:
        yield
    finally:
        pool.update(theirs)
