"""Evidence for figures that have no bounded difference per unit: its error is kept in large samples only.

The unit is a row, or a file. A figure's difference is taken as the mean of its influence on each unit; the mean of t of
these is as good as normal once t is large, at all later looks at once, and a normal mixture bounds it: Waudby-Smith,
Arbour, Sinha, Kennedy & Ramdas 2024, "Time-uniform central limit theory and asymptotic confidence sequences", Annals of
Statistics 52. How large is large: MIN_FILES files, or MIN_ROWS rows of equal weight, and more of both where units are
skewed (`is_open`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import log_ndtr

from models.evidence.figures.sequence import ERROR, Looks, log_threshold, nested
from models.evidence.record.exact import Floats, Integers

MIN_FILES = 30
MIN_ROWS = 50
SKEWNESS_FACTOR = 50.0  # twice Cochran's 25, as looks are many
_TIGHTEST = {"row": 5_000.0, "file": 60.0}  # units at which the bounds are tightest for their number
_LARGEST_SCORE = 1e3
_BISECTIONS = 60
_CHUNK = 4_000_000  # influences that are held at once


@dataclass(frozen=True)
class Moments:
    """At each look: units so far, the difference, and sums of its influences' powers (2, 3 and 4) over the units.

    Influences add up to nought and are scaled so that the sum of their squares estimates the difference's variance.
    """

    units: Floats
    difference: Floats
    second: Floats
    third: Floats
    fourth: Floats


def asymptotic_looks(unit: str, labelled: Integers, found: Moments, error: float, reach: float) -> Looks:
    """Looks after each of F files; the difference lies within ±`reach`."""
    usable, clock = is_open(unit, found), clock_of(unit, found.units)
    spread = np.sqrt(np.where(usable, found.second, 1.0))
    score = found.difference / spread
    sides = [np.where(usable, log_mixture(each, clock), 0.0) for each in (score, -score)]
    width = spread * deciding_score(clock, error)
    low = np.where(usable, np.maximum(found.difference - width, -reach), -reach)
    high = np.where(usable, np.minimum(found.difference + width, reach), reach)
    low, high, moved = nested(low, high)
    rows = np.cumsum(labelled)
    return Looks(unit, rows, found.difference, low, high, sides[0], sides[1], moved, asymptotic=True)


def is_open(unit: str, found: Moments) -> npt.NDArray[np.bool_]:
    """True where there are units enough to take their mean as normal.

    The skewness g of n influences needs n > 25 g² for a normal interval (Cochran 1977, "Sampling techniques", 2.15);
    here it is SKEWNESS_FACTOR. Of rows few may bear on the difference: (Σ G²)²/Σ G⁴ is the number of rows of equal
    weight that would vary as much (Kish 1965, "Survey sampling").
    """
    enough = found.units >= MIN_FILES if unit == "file" else found.second**2 >= MIN_ROWS * found.fourth
    return np.asarray(enough & (found.second > 0) & (found.second**3 >= SKEWNESS_FACTOR * found.third**2))


def log_mixture(score: Floats, clock: Floats) -> Floats:
    """Logarithm of the one-sided e-value of a difference that is `score` standard errors above nought.

    The likelihood ratio of a normal mean against nought, mixed over the positive half of a normal prior whose variance
    is `clock` times that of the estimate. Source: Robbins 1970; Waudby-Smith et al. 2024 (one-sided sequences).
    """
    shrunk = clock / (clock + 1)
    tail = log_ndtr(score * np.sqrt(shrunk))
    return np.asarray(np.log(2) - np.log1p(clock) / 2 + shrunk * np.square(score) / 2 + tail)


def deciding_score(clock: Floats, error: float) -> Floats:
    """The score whose `log_mixture` decides."""
    low, high = np.zeros(np.shape(clock)), np.full(np.shape(clock), _LARGEST_SCORE)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        reached = log_mixture(middle, clock) >= log_threshold(error)
        low, high = np.where(reached, low, middle), np.where(reached, middle, high)
    return high


def file_moments(difference: Floats, gradient: Floats, parts: Floats) -> Moments:
    """By file. `parts` [..., F, D]: sums per file that the figure is worked out from; `gradient` [..., F, D]: its
    derivatives by their totals after each file, whose product with these totals is nought."""
    files = parts.shape[-2]
    sums = [np.empty(difference.shape) for _ in range(3)]
    step = max(1, _CHUNK // max(1, files * int(np.prod(parts.shape[:-2]))))
    for start in range(0, files, step):
        some = slice(start, min(start + step, files))
        influences = gradient[..., some, :] @ np.swapaxes(parts, -1, -2)
        influences *= np.arange(files) <= np.arange(files)[some, None]
        squares = np.square(influences)
        for of, powers in zip(sums, (squares, squares * influences, np.square(squares)), strict=True):
            of[..., some] = powers.sum(axis=-1)
    units = np.cumsum(parts.any(axis=-1), axis=-1).astype(np.float64)
    # As of a variance, one of the units is used up by the mean.
    sums[0] *= units / np.maximum(units - 1, 1)
    return Moments(units, difference, *sums)


def clock_of(unit: str, units: Floats) -> Floats:
    """The prior's variance beside that of the estimate, at so many units."""
    # Tightest at so many units: Waudby-Smith et al. 2024, on the choice of ρ.
    log_error = -2 * np.log(ERROR / 2)
    return np.asarray(np.maximum(units, 1) * (log_error + np.log(log_error) + 1) / _TIGHTEST[unit])
