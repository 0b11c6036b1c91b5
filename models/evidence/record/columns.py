"""What a record keeps of the input columns: histograms on the training data's bins, and paired counts per level.

Both merge exactly: a column with too many levels is given up for good, whichever part of the rows showed it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from models.evidence.record.exact import Integers
from models.scoring.table.cells import Coded

GAP = "(gap)"
OTHER = "(other)"
MAX_LEVELS = 22  # GAP and OTHER among them
MAX_LEVEL_TEXT = 80
OUTCOMES = ("both_right", "only_production_right", "only_staging_right", "both_wrong")
UNLABELLED = len(OUTCOMES)
SLICE_COUNTS = ("rows", "agree", *OUTCOMES)

Cells = npt.NDArray[Any]
Counts = Mapping[str, int]  # column → rows


# [places, SLICE_COUNTS]: what a row adds to those, at the place 2 · outcome + whether the models agree
_ADDED = np.array(
    [
        [1, agree, *(outcome == each for each in range(UNLABELLED))]
        for outcome in range(UNLABELLED + 1)
        for agree in (0, 1)
    ],
    dtype=np.int64,
)
_NOT_SCORED = len(_ADDED)  # the place of a row that one of the models could not score


def row_places(ok: npt.NDArray[np.bool_], agree: npt.NDArray[np.bool_], outcome: Integers) -> Integers:
    """Where each of N rows counts: by its outcome, an index of OUTCOMES or UNLABELLED, and whether the models agree.

    `ok`: that both could score it.
    """
    return np.where(ok, 2 * outcome + agree, _NOT_SCORED)


@dataclass(frozen=True)
class Counted:
    """A column's D distinct cells, and of each how many rows there are at each place of `row_places`: [D, places]."""

    distinct: Cells
    rows: Integers

    @classmethod
    def of(cls, cells: Coded, place: Integers) -> Counted:
        """N cells, and the place of each of their rows."""
        size = (len(cells.distinct), _NOT_SCORED + 1)
        rows = np.bincount(cells.codes * size[1] + place, minlength=size[0] * size[1])
        return cls(cells.distinct, rows.reshape(size))


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

    def count(self, cells: Counted) -> Integers:
        """How many of the rows, scored or not, lie in each bin; as long as `counts`."""
        # As weights they are doubles, which are exact for so few rows.
        found = np.bincount(self._bins(cells.distinct), cells.rows.sum(axis=1), len(self.counts))
        return found.astype(np.int64)

    def _bins(self, cells: Cells) -> Integers:
        """The bin of each of N cells (floats with NaN, or text with None or ""), as an index into `counts`."""
        gap = len(self.counts) - 1
        if self.edges is not None:
            numbers = np.asarray(cells, dtype=np.float64)
            return np.where(np.isnan(numbers), gap, np.searchsorted(self.edges[1:-1], numbers, side="right"))
        index: dict[Any, int] = {text: at for at, text in enumerate(self.categories or ())} | {None: gap, "": gap}
        return np.fromiter((index.get(cell, gap - 1) for cell in cells), dtype=np.int64, count=len(cells))

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

    def count(self, cells: Counted, is_text: bool, known: tuple[str, ...] | None) -> None:
        """Adds the rows that both models scored. `known`: the training data's categories of a text column."""
        if self.levels is None:
            return
        counts = cells.rows[:, :_NOT_SCORED] @ _ADDED
        there = np.flatnonzero(counts[:, 0])
        distinct = cells.distinct[there]
        names = _text_levels(distinct, known) if is_text else _number_levels(distinct)
        if names is None:
            self.levels = None
            return
        places: dict[str, int] = {}
        level = [places.setdefault(name, len(places)) for name in names]
        sums = np.zeros((len(places), len(SLICE_COUNTS)), dtype=np.int64)
        np.add.at(sums, level, counts[there])
        self._plus(zip(places, sums, strict=True))

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

    def to_json(self) -> dict[str, list[int]] | None:
        """The counts by level; null where the column has too many levels."""
        return None if self.levels is None else {level: self.levels[level].tolist() for level in sorted(self.levels)}

    @classmethod
    def from_json(cls, levels: Mapping[str, list[int]] | None) -> Levels:
        """What `to_json` gave. Raises AttributeError, TypeError or ValueError where it is something else."""
        made = cls()
        if levels is None:
            made.levels = None
            return made
        found = {level: np.array(counts, dtype=np.int64) for level, counts in levels.items()}
        if any(counts.shape != (len(SLICE_COUNTS),) for counts in found.values()):
            raise ValueError("a slice of a comparison record has not its six counts")
        made.levels = found
        return made


@dataclass
class Unknown:
    """Texts that a version was never shown; grows by `add` and `merge`.

    A side is None until a file of it was counted: its version may not know its texts.
    """

    production: Counts | None = None
    staging: Counts | None = None

    def add(self, production: Counts | None, staging: Counts | None) -> None:
        """Adds rows."""
        self.production, self.staging = _sum(self.production, production), _sum(self.staging, staging)

    def merge(self, other: Unknown) -> None:
        self.add(other.production, other.staging)

    def columns(self) -> list[tuple[str, int | None, int | None]]:
        """Column, production's rows and staging's, where there are any, those with the most first."""
        sides = [side or {} for side in (self.production, self.staging)]
        found = [(name, sides[0].get(name), sides[1].get(name)) for name in sorted({*sides[0], *sides[1]})]
        return sorted((each for each in found if any(each[1:])), key=lambda each: -max(each[1] or 0, each[2] or 0))

    def to_json(self) -> dict[str, Any]:
        return {"production": self.production, "staging": self.staging}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Unknown:
        """What `to_json` gave. Raises KeyError, TypeError, ValueError or AttributeError where it is something else."""
        sides = (fields[name] for name in ("production", "staging"))
        return cls(*(None if side is None else {str(name): int(rows) for name, rows in side.items()} for side in sides))


def _text_levels(distinct: Cells, known: tuple[str, ...] | None) -> list[str] | None:
    """The level of each of some distinct texts. `known`: the training data's categories; others are OTHER.

    None where there are more than MAX_LEVELS: that depends on the levels alone, so it merges exactly.
    """
    if known is None:
        if len({*distinct} - {None, ""}) > MAX_LEVELS:
            return None
        return [_short(cell) if cell else GAP for cell in distinct]
    if len(known) > MAX_LEVELS - 2:
        return None
    names: dict[Any, str] = {cell: _short(cell) for cell in known} | {None: GAP, "": GAP}
    return [names.get(cell, OTHER) for cell in distinct]


def _number_levels(distinct: Cells) -> list[str] | None:
    """The level of each of some distinct numbers; None where they are not whole, or not few."""
    numbers = np.asarray(distinct, dtype=np.float64)
    values = numbers[~np.isnan(numbers)]
    if values.size > MAX_LEVELS and np.unique(values).size > MAX_LEVELS:
        return None
    if bool(np.any(values != np.rint(values))) or bool(np.any(np.abs(values) > 1e9)):
        return None
    return [GAP if number != number else str(int(number)) for number in numbers.tolist()]


def _short(text: str) -> str:
    return text if len(text) <= MAX_LEVEL_TEXT else text[: MAX_LEVEL_TEXT - 1] + "…"


def _sum(one: Counts | None, other: Counts | None) -> Counts | None:
    if one is None or other is None:
        return other if one is None else one
    added = Counter(one)
    added.update(other)  # keeps columns with none, unlike +
    return dict(added)
