"""How far two histograms of one column lie apart: two usual measures, and what chance alone would give."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

PSI_MODERATE = 0.1
PSI_MAJOR = 0.25
JENSEN_SHANNON_NOTABLE = 0.1
_PSEUDO_COUNT = 0.5


def psi(expected: ArrayLike, actual: ArrayLike) -> float:
    """The population stability index of two histograms (counts in the same bins): Σ (a - e) ln(a / e) over shares.

    0 where the shares are equal, without an upper end; below 0.1 stable, up to 0.25 moderate, above major. Source: N.
    Siddiqi, Credit Risk Scorecards, Wiley 2006, ch. 10 (formula and thresholds). An empty bin would make it infinite,
    so half a count is added to every bin. NaN where a histogram is empty. Raises ValueError for unlike shapes.
    """
    counts_e, counts_a = _pair(expected, actual)
    if not counts_e.sum() or not counts_a.sum():
        return float("nan")
    e, a = (_shares(counts + _PSEUDO_COUNT) for counts in (counts_e, counts_a))
    return float(np.sum((a - e) * np.log(a / e)))


def psi_by_chance(expected: ArrayLike, actual: ArrayLike) -> float:
    """The PSI that two samples of one distribution stay below in about 95 cases of 100, given their sizes.

    PSI / (1/n + 1/m) is then chi-squared with bins - 1 degrees of freedom. Source: B. Yurdakul and J. Naranjo,
    Statistical properties of the population stability index, Journal of Risk Model Validation 14(4), 2020. The
    quantile by E. Wilson and M. Hilferty, The distribution of chi-square, PNAS 17, 1931.
    """
    counts_e, counts_a = _pair(expected, actual)
    n, m = float(counts_e.sum()), float(counts_a.sum())
    freedom = int(np.count_nonzero(counts_e + counts_a)) - 1
    if not n or not m or freedom < 1:
        return 0.0
    spread = 2.0 / (9.0 * freedom)
    quantile = freedom * (1.0 - spread + 1.6449 * np.sqrt(spread)) ** 3
    return float((1.0 / n + 1.0 / m) * quantile)


def jensen_shannon(expected: ArrayLike, actual: ArrayLike) -> float:
    """The Jensen-Shannon distance of two histograms, from 0 (equal shares) to 1 (no bin in common).

    The square root of H((e + a) / 2) - (H(e) + H(a)) / 2 with entropies in bits. Source: J. Lin, Divergence measures
    based on the Shannon entropy, IEEE Transactions on Information Theory 37(1), 1991; the root makes it a metric: D.
    Endres and J. Schindelin, A new metric for probability distributions, ibid. 49(7), 2003. Above 0.1 is usually
    called notable. NaN where a histogram is empty. Raises ValueError for unlike shapes.
    """
    counts_e, counts_a = _pair(expected, actual)
    if not counts_e.sum() or not counts_a.sum():
        return float("nan")
    e, a = _shares(counts_e), _shares(counts_a)
    divergence = _entropy((e + a) / 2) - (_entropy(e) + _entropy(a)) / 2
    return float(np.sqrt(np.clip(divergence, 0.0, 1.0)))


def grade(value: float, by_chance: float = 0.0) -> str:
    """What a PSI says in a word: `stable`, `moderate` or `major`; `stable` also where chance alone explains it."""
    if not value > max(PSI_MODERATE, by_chance):
        return "stable"
    return "major" if value > PSI_MAJOR else "moderate"


def _pair(expected: ArrayLike, actual: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    e, a = np.asarray(expected, dtype=np.float64), np.asarray(actual, dtype=np.float64)
    if e.ndim != 1 or e.shape != a.shape or not e.size:
        raise ValueError(f"two histograms over the same bins are needed, not counts of shape {e.shape} and {a.shape}")
    if np.any(e < 0) or np.any(a < 0):
        raise ValueError("a histogram's counts cannot be negative")
    return e, a


def _shares(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(counts / counts.sum())


def _entropy(shares: NDArray[Any]) -> float:
    present = shares[shares > 0]
    return float(-np.sum(present * np.log2(present)))
