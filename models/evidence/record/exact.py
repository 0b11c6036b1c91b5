"""Sums that no order of adding changes: each number is rounded once to a multiple of 2^-40, and integers are added.

Floats added in another order differ in their last bits, so two merges of the same rows would not be equal. The rounding
costs at most 2^-41 (4.5e-13) per row, hence at most that in any mean.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

UNITS = 1 << 40
_LOW_BITS = 20
_LIMIT = float(1 << 62)

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def exact_sum(values: Floats) -> int:
    """The sum of N finite numbers, in units of 2^-40. Raises OverflowError for a number beyond ±2^22."""
    whole = _whole(values, _LIMIT)
    # 2^62 times a few rows would overflow 64 bits; the two halves of each number do not before 2^21 rows and more.
    high, low = whole >> _LOW_BITS, whole & ((1 << _LOW_BITS) - 1)
    return (_total(high) << _LOW_BITS) + _total(low)


def exact_sums_by_bin(bins: Integers, values: Floats, count: int) -> list[int]:
    """For each of `count` bins the exact sum of the values, from -1 to 1, whose bin it is; else OverflowError."""
    whole = _whole(values, UNITS + 1)
    # Doubles hold the sums of either half exactly: fewer than 2^32 rows of at most 2^20 each.
    parts = (whole >> _LOW_BITS, whole & ((1 << _LOW_BITS) - 1))
    high, low = (np.bincount(bins, weights=part, minlength=count).astype(np.int64).tolist() for part in parts)
    return [(a << _LOW_BITS) + b for a, b in zip(high, low, strict=True)]


def as_float(units: int) -> float:
    """An exact sum as the nearest float."""
    return units / UNITS


def _whole(values: Floats, limit: float) -> Integers:
    """The numbers in units of 2^-40. Raises OverflowError where one is not below `limit` of these, or is no number."""
    scaled = np.rint(values * UNITS)
    if scaled.size and not float(np.abs(scaled).max()) < limit:
        raise OverflowError(f"a number to be summed lies beyond ±{limit / UNITS:g}, or is no number")
    return scaled.astype(np.int64)


def _total(parts: Integers) -> int:
    return sum(int(parts[start : start + (1 << 20)].sum()) for start in range(0, parts.size, 1 << 20))
