"""What a comparison record says in the usual figures. Intervals are of 95 % at one look, unlike those of `sequence`.

They take rows as independent; where files are overdispersed they are too narrow (`overdispersion` in clusters.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import stats
from sklearn.metrics import cohen_kappa_score, roc_auc_score

from models.evidence.record import bins
from models.evidence.record.comparison import Comparison
from models.evidence.record.exact import Floats, Integers, as_float

CONFIDENCE = 0.95
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
_Z = float(stats.norm.ppf(0.5 + CONFIDENCE / 2))
_RESAMPLES = 1000


@dataclass(frozen=True)
class Estimate:
    """A figure with its interval; the bounds are None where the record cannot tell them."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Measure:
    """One measure of both models, and staging minus production, paired."""

    production: Estimate
    staging: Estimate
    difference: Estimate


def wilson(successes: int, trials: int) -> Estimate:
    """A share with Wilson's score interval. Source: Wilson 1927, JASA 22; scipy's `proportion_ci`. `trials` > 0."""
    interval = stats.binomtest(successes, trials).proportion_ci(CONFIDENCE, method="wilson")
    return Estimate(successes / trials, float(interval.low), float(interval.high))


def kappa(agreement: Integers) -> float:
    """Cohen's kappa of a [K, K] table of two raters; NaN where both always say the same one class.

    Source: Cohen 1960, "A coefficient of agreement for nominal scales"; scikit-learn's `cohen_kappa_score`.
    """
    if np.count_nonzero(agreement.sum(0) + agreement.sum(1)) < 2:
        return float("nan")
    first, second = np.indices(agreement.shape).reshape(2, -1)
    return float(cohen_kappa_score(first, second, sample_weight=agreement.ravel()))


def mcnemar(won: int, lost: int) -> float:
    """McNemar's exact test: how likely a split at least as uneven is where both models are equally good (two-sided).

    It is for one look, at a number of rows fixed beforehand. Source: McNemar 1947, Psychometrika 12; scipy's
    `binomtest`.
    """
    return float(stats.binomtest(won, won + lost).pvalue) if won + lost else 1.0


def quantiles(histogram: Integers, edges: Floats, levels: tuple[float, ...] = QUANTILES) -> Floats:
    """Quantiles of a histogram's values, taken as spread evenly within each bin; off by a bin's width at most."""
    cumulative = np.concatenate([[0], np.cumsum(histogram)])
    keep = np.concatenate([[True], np.diff(cumulative) > 0])
    keep[:-1] |= np.diff(cumulative) > 0  # the lower edge of each bin that holds rows
    return np.asarray(np.interp(np.array(levels) * cumulative[-1], cumulative[keep], edges[keep]), dtype=np.float64)


def accuracy(paired: Integers) -> Measure:
    """Accuracies with Wilson's intervals; their paired difference with Wald's. `paired` [4]: OUTCOMES of columns.

    Source of the difference's interval: Agresti 2013, "Categorical Data Analysis", 11.1 (matched pairs).
    """
    both, only_production, only_staging, _ = (int(count) for count in paired)
    rows = int(paired.sum())
    difference = (only_staging - only_production) / rows
    spread = _Z * float(np.sqrt(max(0.0, (only_staging + only_production) / rows - difference**2) / rows))
    return Measure(
        wilson(both + only_production, rows),
        wilson(both + only_staging, rows),
        Estimate(difference, difference - spread, difference + spread),
    )


def mean(total: int, squares: int, rows: int) -> Estimate:
    """Mean and its normal interval from an exact sum and an exact sum of squares of N rows (variance over N - 1)."""
    value = as_float(total) / rows
    if rows < 2:
        return Estimate(value)
    variance = max(0.0, (as_float(squares) - rows * value**2) / (rows - 1))
    spread = _Z * float(np.sqrt(variance / rows))
    return Estimate(value, value - spread, value + spread)


def loss(record: Comparison, name: str) -> Measure:
    """Mean `log_loss` or `brier` (sources: models.evidence.record.scores), the difference paired row by row."""
    rows = int(record.paired.sum())
    of = (mean(record.sums[f"{name}.{part}"], record.sums[f"{name}.{part}_squared"], rows) for part in _PARTS)
    return Measure(*of)


_PARTS = ("production", "staging", "difference")


def auc(record: Comparison) -> Measure | None:
    """Area under the ROC curve from the score histograms: scikit-learn's `roc_auc_score`, rows of one bin tied.

    Intervals: DeLong, DeLong & Clarke-Pearson 1988, Biometrics 44, with the joint table in place of the rows. None
    with more than two classes, or rows of one class only.
    """
    negatives, positives = (int(count) for count in record.scores[0, :2].sum(axis=1))
    if len(record.pair.classes) != 2 or not negatives or not positives:
        return None
    values = [_area(record.scores[model, 0], record.scores[model, 1]) for model in range(2)]
    covariance = _delong(record.joint) if min(negatives, positives) > 1 else None
    if covariance is None:
        return Measure(Estimate(values[0]), Estimate(values[1]), Estimate(values[1] - values[0]))
    spread = np.sqrt(np.maximum(0, [*np.diag(covariance), covariance.trace() - 2 * covariance[0, 1]])) * _Z
    figures = (*values, values[1] - values[0])
    return Measure(*(Estimate(v, v - float(s), v + float(s)) for v, s in zip(figures, spread, strict=True)))


def _area(negative: Integers, positive: Integers) -> float:
    ranks = np.arange(negative.size)
    truth = np.repeat([0, 1], negative.size)
    return float(roc_auc_score(truth, np.tile(ranks, 2), sample_weight=np.concatenate([negative, positive])))


def _delong(joint: Integers) -> Floats:
    """Covariance of both models' areas from `joint` [2, J, J] (target false and true)."""
    covariance = np.zeros((2, 2))
    for target in (0, 1):
        cells, rows = joint[target], joint[target].sum()
        placements = []
        for axis in (1, 0):  # summing out staging leaves production's bins, and the other way round
            others = joint[1 - target].sum(axis=axis)
            placements.append((np.cumsum(others) - others / 2) / others.sum())
        first, second = placements[0][:, None], placements[1][None, :]
        m1, m2 = float((cells * first).sum() / rows), float((cells * second).sum() / rows)
        cross = float((cells * (first - m1) * (second - m2)).sum())
        own = [float((cells * (first - m1) ** 2).sum()), float((cells * (second - m2) ** 2).sum())]
        covariance += np.array([[own[0], cross], [cross, own[1]]]) / (rows - 1) / rows
    return covariance


def calibration_error(record: Comparison) -> Measure:
    """Expected calibration error over ten bins of equal width, exact; intervals by a bootstrap (two classes only).

    Source: Naeini, Cooper & Hauskrecht 2015 (the positive class's probability); with more than two classes that of the
    predicted class: Guo et al. 2017, "On calibration of modern neural networks". The bootstrap draws the cells of the
    joint table again, with a fixed seed; a bin's mean score stays.
    """
    rows, true = record.calibration[:, :, 0].astype(float), record.calibration[:, :, 1].astype(float)
    sums = np.array([[as_float(value) for value in model] for model in record.calibration_sums])
    values = np.abs(sums - true).sum(axis=1) / rows.sum(axis=1)
    figures = np.array([values[0], values[1], values[1] - values[0]])
    if not record.joint.any():
        return Measure(*(Estimate(float(value)) for value in figures))
    scores = np.divide(sums, rows, out=np.zeros_like(sums), where=rows > 0)
    drawn = np.array([_drawn_errors(scores, cells) for cells in _redrawn(record.joint)])
    drawn = np.column_stack([drawn, drawn[:, 1] - drawn[:, 0]])
    spread = _Z * drawn.std(axis=0)  # redrawn errors are biased upwards, so their quantiles would miss the value itself
    lows = np.maximum(figures - spread, [0, 0, -1])
    return Measure(
        *(Estimate(float(v), float(lo), float(v + s)) for v, lo, s in zip(figures, lows, spread, strict=True))
    )


def _redrawn(joint: Integers) -> list[Integers]:
    to_tenth = np.eye(bins.CALIBRATION_BINS, dtype=np.int64)[bins.joint_to_calibration()]
    coarse = np.einsum("tab,ai,bj->tij", joint, to_tenth, to_tenth)
    total = int(coarse.sum())
    random = np.random.default_rng(0)
    return list(random.multinomial(total, coarse.ravel() / total, _RESAMPLES).reshape(-1, *coarse.shape))


def _drawn_errors(scores: Floats, cells: Integers) -> list[float]:
    total = cells.sum()
    errors = []
    for model, axis in enumerate((2, 1)):
        by_tenth = cells.sum(axis=axis)
        errors.append(float(np.abs(scores[model] * by_tenth.sum(0) - by_tenth[1]).sum() / total))
    return errors


def measures(record: Comparison) -> dict[str, Measure]:
    """Every measure of the labelled rows by name; empty where there are none."""
    if not record.paired.any():
        return {}
    found: dict[str, Callable[[], Measure | None]] = {
        "accuracy": lambda: accuracy(record.paired),
        "auc": lambda: auc(record),
        "log_loss": lambda: loss(record, "log_loss"),
        "brier": lambda: loss(record, "brier"),
        "calibration_error": lambda: calibration_error(record),
    }
    return {name: measure for name, of in found.items() if (measure := of()) is not None}
