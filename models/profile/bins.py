"""How the cells of a column fall into bins: fixed by one file, so that another can be counted in the same ones."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.profile.kinds import Cells

GAP, OTHER = "(gap)", "(other)"
MOST_TEXTS = 12
MOST_BARS = 30
DECILES = 10


@dataclass(frozen=True)
class Bins:
    """Either M + 1 growing `edges` of M bins of numbers, or M `values`; `names` are M names, then OTHER and GAP.

    Numbers beyond the outer edges belong to the outer bins; OTHER holds the values that `values` lacks.
    """

    names: tuple[str, ...]
    edges: tuple[float, ...] | None = None
    values: tuple[str | float, ...] | None = None

    def place(self, cells: Cells) -> NDArray[np.int64]:
        """The bin of each of N cells, an index into `names`."""
        other, gap = len(self.names) - 2, len(self.names) - 1
        if self.edges is not None:
            numbers = _numbers(cells)
            bins = np.searchsorted(self.edges[1:-1], numbers, side="right")
            return np.where(np.isnan(numbers), gap, bins).astype(np.int64)
        held: pd.Series[float] | pd.Series[str] = (
            pd.Series(_numbers(cells)) if self.values and isinstance(self.values[0], float) else cells.texts
        )
        index = held.map({value: at for at, value in enumerate(self.values or ())})
        bins = index.fillna(other).to_numpy(dtype=np.int64)
        return np.where(held.isna().to_numpy(), gap, bins).astype(np.int64)


def fine_bins(cells: Cells) -> Bins:
    """Bins to draw: one per level or frequent text, up to MOST_BARS of equal width for numbers.

    A long tail (beyond the 1st or 99th percentile by more than the middle's width again) goes into the outer bins.
    """
    if cells.kind != "number":
        return _value_bins(cells)
    present = _present(cells)
    low, high = float(present.min()), float(present.max())
    inner_low, inner_high = (float(q) for q in np.quantile(present, (0.01, 0.99)))
    width = inner_high - inner_low
    if width > 0:
        low = inner_low if inner_low - low > width else low
        high = inner_high if high - inner_high > width else high
    step = _round_step((high - low) / MOST_BARS)
    if np.all(present % 1 == 0):
        step = max(step, 1.0)
    first = np.floor(low / step) * step
    edges = first + step * np.arange(int(np.floor((high - first) / step)) + 2)
    return _number_bins(edges)


def coarse_bins(cells: Cells) -> Bins:
    """Bins to compare by: one per level or frequent text, deciles for numbers."""
    if cells.kind != "number":
        return _value_bins(cells)
    edges = np.unique(np.quantile(_present(cells), np.linspace(0, 1, DECILES + 1)))
    return _number_bins(edges if len(edges) > 1 else np.array([edges[0], edges[0] + 1.0]))


def _number_bins(edges: NDArray[np.float64]) -> Bins:
    # Rounding hides the last bits of a sum of steps; without it a tick would read 0.30000000000000004.
    edges = np.unique(np.round(edges, 12))
    names = [f"{low:,g} to {high:,g}" for low, high in pairwise(edges)]
    return Bins((*names, OTHER, GAP), edges=tuple(float(edge) for edge in edges))


def _value_bins(cells: Cells) -> Bins:
    if cells.kind == "level":
        levels = tuple(float(level) for level in np.unique(_present(cells)))
        return Bins((*(f"{level:g}" for level in levels), OTHER, GAP), values=levels)
    frequent = tuple(str(text) for text in cells.texts.value_counts().index[:MOST_TEXTS])
    return Bins((*frequent, OTHER, GAP), values=frequent)


def _numbers(cells: Cells) -> NDArray[np.float64]:
    if cells.numbers is not None:
        return cells.numbers
    return np.asarray(pd.to_numeric(cells.texts, errors="coerce").to_numpy(dtype=np.float64))


def _present(cells: Cells) -> NDArray[np.float64]:
    numbers = _numbers(cells)
    return numbers[~np.isnan(numbers)]


def _round_step(step: float) -> float:
    """The next of 1, 2, 2.5, 5 times a power of ten that is not below `step`."""
    if step <= 0 or not np.isfinite(step):
        return 1.0
    magnitude = 10.0 ** np.floor(np.log10(step))
    return float(next(magnitude * m for m in (1, 2, 2.5, 5, 10) if magnitude * m >= step * (1 - 1e-9)))
