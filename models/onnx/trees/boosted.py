"""Boosted trees whatever library grew them: branches, leaves, and what turns their sums into probabilities."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple


class Branch(NamedTuple):
    """`yes` for values up to `upto` (or below it, see Boosted.below), or for the category codes in a set `upto`.

    `gap`: whether a missing value goes to `yes`.
    """

    feature: int
    upto: float | frozenset[int]
    gap: bool
    yes: Any  # a Branch or a Leaf
    no: Any


class Leaf(NamedTuple):
    """What it adds to the sums: one value to the tree's own sum, or one to each."""

    values: Sequence[float]


@dataclass(frozen=True)
class Categories:
    """A feature that is one of `keys` (texts or numbers), whose code is its place there; another one is a gap.

    `whole`: numbers are cut to whole ones before they are looked up. `gaps`: codes that are gaps, too. `closed`:
    another one is no gap, and a row with it gets no answer.
    """

    keys: Sequence[Any]
    whole: bool = False
    gaps: frozenset[int] = frozenset()
    closed: bool = False


@dataclass(frozen=True)
class Boosted:
    """`trees`: (which of the sums, root) of each; `base`: what the sums start from; `scale`: what multiplies them.

    `link`: what makes probabilities of them; sigmoid of the only sum times `slope`, or softmax. `below`: branches are
    taken below their value, not up to it. `single`: features are rounded to float32 before they are compared.
    `doubles`: sums are in doubles. `missing`: a number that is a gap. `absent`: so is 0 in what comes as a sparse
    matrix. `flat`: values next to 0 are 0, but in such a matrix. `zero`: features in which that is a gap. `order`: the
    feature of the input that each of the trees' own features is, in the input's order where None.
    """

    trees: Sequence[tuple[int, Any]]
    base: Sequence[float]
    link: Literal["sigmoid", "softmax"]
    slope: float = 1.0
    scale: float = 1.0
    below: bool = False
    single: bool = False
    doubles: bool = True
    missing: float | None = None
    absent: bool = False
    flat: bool = False
    zero: frozenset[int] = frozenset()
    categories: Mapping[int, Categories] = field(default_factory=dict)
    order: Sequence[int] | None = None


def branches(boosted: Boosted) -> Iterator[tuple[int, Any]]:
    """(feature, what goes to `yes`) of each branch."""
    for _, root in boosted.trees:
        left = [root]
        while left:
            node = left.pop()
            if isinstance(node, Branch):
                left += [node.yes, node.no]
                yield node.feature, node.upto
