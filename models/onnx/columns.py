"""What a part of a graph is given: columns of texts and numbers, or one matrix of numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.onnx.graph import GraphParts


@dataclass(frozen=True)
class Given:
    """`values`: columns [N, 1] called `names`, those at `texts` of texts, the others of numbers of one type.

    Without names: one matrix [N, `width`], of texts if `texts` is not empty. `sparse`: to the estimator that is
    a sparse matrix.
    """

    values: tuple[str, ...]
    width: int
    names: tuple[str, ...] = ()
    texts: frozenset[int] = frozenset()
    sparse: bool = False

    def matrix(self, parts: GraphParts) -> str:
        """All of it as one value [N, width]; for columns of one kind."""
        return self.values[0] if len(self.values) == 1 else parts.add("Concat", *self.values, axis=1)

    def numbers(self, parts: GraphParts) -> tuple[str, dict[int, int]]:
        """The columns of numbers as one matrix, and the place of each in there."""
        if not self.names:
            return self.values[0], {at: at for at in range(self.width)}
        left = [at for at in range(self.width) if at not in self.texts]
        if not left:
            return "", {}
        held = Given(tuple(self.values[at] for at in left), len(left)).matrix(parts)
        return held, {at: place for place, at in enumerate(left)}

    def column(self, parts: GraphParts, at: int) -> str:
        """One column [N, 1]."""
        if self.names:
            return self.values[at]
        return parts.add("Gather", self.values[0], parts.constant(np.array([at], dtype=np.int64)), axis=1)
