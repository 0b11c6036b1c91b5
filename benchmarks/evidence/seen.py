"""What each measure says of simulated comparisons at every look: the product's formulas, for all of them at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.evidence.world import COSTS, Floats, Tally
from models.evidence.figures.measures.asymptotic import Moments, clock_of, file_moments, is_open, log_mixture
from models.evidence.figures.measures.losses import log_loss_capital, loss_moments
from models.evidence.figures.measures.ratios import f1, parts_of, precision, row_sums
from models.evidence.figures.sequence import ERROR, log_e_value, log_file_capital, log_row_capital, log_threshold
from models.evidence.record.judged import LARGEST_LOSS, SMALLEST_LOSS

MEASURES = ("accuracy", "log-loss", "brier", "cost", "recall", "precision", "f1")  # of class 1
BOUNDS = {"log-loss": LARGEST_LOSS - SMALLEST_LOSS, "brier": 1.0, "cost": float(np.ptp(COSTS, axis=1).max())}
_TRUE, _FIRST, _SECOND = (np.arange(8) >> bit & 1 for bit in (2, 1, 0))
_PARTS = parts_of((_TRUE, _FIRST, _SECOND), (1,))
Booleans = NDArray[np.bool_]


@dataclass(frozen=True)
class Seen:
    """At each look [R, F] of each side, staging's and production's: whether it is `said` to be better, and whether its
    bound has `missed` the truth."""

    said: list[Booleans]
    missed: list[Booleans]

    def decides(self, side: int | None = None) -> Booleans:
        """[R] whether one, or that side, is ever said to be better."""
        return np.asarray(np.any(self.said[0] | self.said[1] if side is None else self.said[side], axis=-1))

    def misses(self, side: int | None = None) -> Booleans:
        """[R] whether the bounds, or that side's, ever miss the truth."""
        return np.asarray(np.any(self.missed[0] | self.missed[1] if side is None else self.missed[side], axis=-1))


def seen(measure: str, unit: str, tally: Tally, truth: float, error: float = ERROR) -> Seen:
    """`truth`: by how much staging is better."""
    if measure in ("accuracy", "recall"):
        return _of_counts(measure, unit, tally, truth, error)
    if measure in BOUNDS and unit == "row":
        sums, squares = _loss_sums(measure, tally)
        total, squares, rows = (np.cumsum(each, axis=-1) for each in (sums, squares, tally.rows))
        bound, threshold = BOUNDS[measure], log_threshold(error)
        sides = [
            log_loss_capital(sign * total, squares, rows, np.array(sign * mean), bound) >= threshold
            for mean in (0.0, truth)
            for sign in (1, -1)
        ]
        return Seen(sides[:2], sides[2:])
    return _asymptotic(unit, _moments(measure, unit, tally), truth, error)


def difference(measure: str, tally: Tally) -> float:
    """By how much staging is better over all rows of all comparisons."""
    if measure in BOUNDS:
        return float(_loss_sums(measure, tally)[0].sum() / tally.rows.sum())
    if measure in ("precision", "f1"):
        return float((precision if measure == "precision" else f1)(tally.cells.sum(axis=(0, 1)) @ _PARTS)[0])
    won, lost, asked = (each.sum() for each in _counts(measure, tally))
    return float((won - lost) / asked)


def _counts(measure: str, tally: Tally) -> tuple[Floats, Floats, Floats]:
    asked = _TRUE >= 0 if measure == "accuracy" else _TRUE == 1
    right_p, right_s = _FIRST == _TRUE, _SECOND == _TRUE
    won, lost, rows = (
        tally.cells[..., cells].sum(axis=-1)
        for cells in (asked & right_s & ~right_p, asked & right_p & ~right_s, asked)
    )
    return won, lost, rows


def _of_counts(measure: str, unit: str, tally: Tally, truth: float, error: float) -> Seen:
    won, lost, rows = _counts(measure, tally)
    up, down, total = (np.cumsum(each, axis=-1) for each in (won, lost, rows))
    threshold = log_threshold(error)
    if unit == "file":
        sides = [log_file_capital(*each) >= threshold for each in ((won, lost), (lost, won))]
        balance = truth * rows.sum() / (won + lost).sum()  # by which the files are bounded: per discordant row
        missed = [
            log_file_capital(*each, sign * balance) >= threshold for sign, each in ((1, (won, lost)), (-1, (lost, won)))
        ]
        return Seen(sides, missed)
    sides = [log_e_value(*each) >= threshold for each in ((up, down), (down, up))]
    missed = [
        log_row_capital(*each, total, np.array(sign * truth)) >= threshold
        for sign, each in ((1, (up, down)), (-1, (down, up)))
    ]
    return Seen(sides, missed)


def _loss_sums(measure: str, tally: Tally) -> tuple[Floats, Floats]:
    if measure != "cost":
        return tally.losses[measure]
    saved = COSTS[_TRUE, _FIRST] - COSTS[_TRUE, _SECOND]
    return tally.cells @ saved, tally.cells @ np.square(saved)


def _moments(measure: str, unit: str, tally: Tally) -> Moments:
    if measure in BOUNDS:
        return loss_moments(_loss_sums(measure, tally)[0], tally.rows)
    parts = tally.cells @ _PARTS.toarray()
    now, gradient = (precision if measure == "precision" else f1)(np.cumsum(parts, axis=-2))
    if unit == "file":
        return file_moments(now, gradient, parts)
    so_far = np.cumsum(tally.cells, axis=-2)
    units = so_far @ (_PARTS.sum(axis=1) > 0)
    return Moments(units, now, *row_sums(so_far, gradient, _PARTS))


def _asymptotic(unit: str, moments: Moments, truth: float, error: float) -> Seen:
    usable, clock = is_open(unit, moments), clock_of(unit, moments.units)
    spread = np.sqrt(np.where(usable, moments.second, 1.0))
    sides = [
        usable & (log_mixture(sign * (moments.difference - mean) / spread, clock) >= log_threshold(error))
        for mean in (0.0, truth)
        for sign in (1, -1)
    ]
    return Seen(sides[:2], sides[2:])
