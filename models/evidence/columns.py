"""What a record keeps of the input columns: histograms on the training data's bins, and paired counts per level.

Both merge exactly: a column with too many levels is given up for good, whichever part of the rows showed it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from models.evidence.exact import Integers

GAP = "(gap)"
OTHER = "(other)"
MAX_LEVELS = 22  # GAP and OTHER among them
MAX_LEVEL_TEXT = 80
OUTCOMES = ("both_right", "only_production_right", "only_staging_right", "both_wrong")
UNLABELLED = len(OUTCOMES)
SLICE_COUNTS = ("rows", "agree", *OUTCOMES)

Cells = npt.NDArray[Any]


@dataclass(frozen=True)
class TrainingBins:
    """One column's bins and the training rows in each; the last count is that of the gaps.

    Numbers: `edges` (M+1, growing) and M+1 counts; values beyond the edges belong to the outermost bins. Text:
    `categories` (M) and M+2 counts, the last but one for every other text.
    """

    counts: tuple[int, ...]
    edges: tuple[float, ...] | None = None
    categories: tuple[str, ...] | None = None

    @classmethod
    def from_profile(cls, column: Mapping[str, Any]) -> TrainingBins | None:
        """The bins in one column of ModelSpec.profile; None where it holds none that can be used.

        `counts` is one per bin; `gaps` and (text) `other`, where given, are counts besides.
        """
        try:
            counts = [int(count) for count in column["counts"]]
            gaps = int(column.get("gaps", 0))
            if "edges" in column:
                edges = tuple(float(edge) for edge in column["edges"])
                fits = len(edges) == len(counts) + 1 and bool(np.all(np.diff(edges) > 0))
                return cls((*counts, gaps), edges=edges) if fits and counts else None
            categories = tuple(str(category) for category in column["categories"])
            fits = len(categories) == len(counts) and len(set(categories)) == len(categories)
            return cls((*counts, int(column.get("other", 0)), gaps), categories=categories) if fits else None
        except (KeyError, TypeError, ValueError):
            return None

    def count(self, cells: Cells) -> Integers:
        """How many of N cells (floats with NaN, or text with None) lie in each bin; as long as `counts`."""
        if self.edges is not None:
            numbers = np.asarray(cells, dtype=np.float64)
            bins = np.searchsorted(self.edges[1:-1], numbers, side="right")
            bins = np.where(np.isnan(numbers), len(self.counts) - 1, bins)
        else:
            index: dict[Any, int] = {text: at for at, text in enumerate(self.categories or ())}
            index |= {None: len(self.counts) - 1, "": len(self.counts) - 1}
            other = len(self.counts) - 2
            bins = np.fromiter((index.get(cell, other) for cell in cells), dtype=np.int64, count=len(cells))
        return np.bincount(bins, minlength=len(self.counts)).astype(np.int64)

    def names(self) -> tuple[str, ...]:
        """What each of the counts is called."""
        if self.edges is None:
            return (*(self.categories or ()), OTHER, GAP)
        inner = [f"{low:g} to {high:g}" for low, high in zip(self.edges[1:-2], self.edges[2:-1], strict=True)]
        if len(self.edges) == 2:
            return ("any number", GAP)
        return (f"below {self.edges[1]:g}", *inner, f"{self.edges[-2]:g} and more", GAP)

    def to_json(self) -> dict[str, Any]:
        bins = {"edges": list(self.edges)} if self.edges is not None else {"categories": list(self.categories or ())}
        return {**bins, "counts": list(self.counts)}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> TrainingBins:
        return cls(
            counts=tuple(int(count) for count in fields["counts"]),
            edges=tuple(float(edge) for edge in fields["edges"]) if "edges" in fields else None,
            categories=tuple(fields["categories"]) if "categories" in fields else None,
        )


class Levels:
    """Paired counts of one column's levels: level → SLICE_COUNTS. `None` levels: the column is given up as too fine."""

    def __init__(self, levels: dict[str, Integers] | None = None) -> None:
        self.levels: dict[str, Integers] | None = {} if levels is None else levels

    def add(self, names: list[str] | None, level: Integers, agree: npt.NDArray[np.bool_], outcome: Integers) -> None:
        """Adds N rows: row i is of level names[level[i]]; `outcome` indexes OUTCOMES, or is UNLABELLED."""
        if names is None or self.levels is None:
            self.levels = None
            return
        width = 2 * (UNLABELLED + 1)
        table = np.bincount(level * width + outcome * 2 + agree, minlength=len(names) * width)
        table = table.reshape(len(names), UNLABELLED + 1, 2)
        rows = np.column_stack([table.sum((1, 2)), table[:, :, 1].sum(1), table[:, :UNLABELLED].sum(2)])
        self._plus((name, row) for name, row in zip(names, rows.astype(np.int64), strict=True) if row[0])

    def merge(self, other: Levels) -> None:
        if other.levels is None:
            self.levels = None
        else:
            self._plus(other.levels.items())

    def _plus(self, rows: Iterable[tuple[str, Integers]]) -> None:
        if self.levels is None:
            return
        for name, row in rows:
            self.levels[name] = self.levels[name] + row if name in self.levels else row.copy()
        if len(self.levels) > MAX_LEVELS:
            self.levels = None


def text_levels(cells: Cells, known: tuple[str, ...] | None) -> tuple[list[str] | None, Integers]:
    """N texts → (names of levels, the level of each). `known`: the training data's categories; others are OTHER.

    None instead of names where there are more than MAX_LEVELS: that depends on the levels alone, so it merges exactly.
    """
    distinct = sorted(set(cells) - {None, ""}) if known is None else []
    if len(distinct) > MAX_LEVELS or (known is not None and len(known) > MAX_LEVELS - 2):
        return None, np.zeros(0, dtype=np.int64)
    names = [GAP, OTHER, *map(_short, distinct if known is None else known)]
    index: dict[Any, int] = {text: at + 2 for at, text in enumerate(distinct if known is None else known)}
    index |= {None: 0, "": 0}
    return names, np.fromiter((index.get(cell, 1) for cell in cells), dtype=np.int64, count=len(cells))


def number_levels(cells: Cells) -> tuple[list[str] | None, Integers]:
    """N numbers → (names of levels, the level of each); None instead of names where they are not whole, or not few."""
    numbers = np.asarray(cells, dtype=np.float64)
    gap = np.isnan(numbers)
    values = np.unique(numbers[~gap])
    if values.size > MAX_LEVELS or bool(np.any(values != np.rint(values))) or bool(np.any(np.abs(values) > 1e9)):
        return None, np.zeros(0, dtype=np.int64)
    level = np.where(gap, 0, np.searchsorted(values, numbers) + 1)
    return [GAP, *(str(int(value)) for value in values)], level.astype(np.int64)


def _short(text: str) -> str:
    return text if len(text) <= MAX_LEVEL_TEXT else text[: MAX_LEVEL_TEXT - 1] + "…"
