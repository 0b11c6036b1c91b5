"""What both models' accuracy may be on rows without a label. An estimate: no verdict, and no promotion, rests on it.

Confidence-based performance estimation: a model is right about as often as the probabilities that it gives to its own
answers say, once these are calibrated on the rows whose labels are known. It holds as far as equal confidence means
equal accuracy on rows with and without labels; a relation that has changed since (concept drift) it cannot see. Source:
Białek, Kuberski, Perrakis & Bifet 2024, "Estimating model performance under covariate shift without labels"
(arXiv:2401.08348).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field
from scipy.stats import norm
from sklearn.isotonic import IsotonicRegression

from models.evidence.figures.statistics import CONFIDENCE, Estimate
from models.evidence.record.confidence import BINS, RIGHT, UNLABELLED, WRONG, Confidence
from models.evidence.record.exact import Floats, Integers, as_float

MIN_LABELLED = 200  # below, a calibration is worth less than the models' own word
_RESAMPLES = 200


@dataclass(frozen=True)
class WithoutLabels:
    """Estimated accuracies on rows without labels; no interval where nothing was calibrated."""

    rows: Annotated[int, Field(description="rows without a label that both scored")]
    calibrated_on: Annotated[int, Field(description="labelled rows; 0: by the models' own probabilities as they are")]
    production: Estimate
    staging: Estimate


def without_labels(confidence: Confidence) -> WithoutLabels | None:
    """The estimate for the rows without a label; None where there are none.

    With MIN_LABELLED labelled rows or more, how often a model was right is fitted to its confidence by isotonic
    regression; the interval is that of the fit, from labelled rows drawn again. With fewer it is the mean confidence.
    """
    rows = int(confidence.counts[0, UNLABELLED].sum())
    if not rows:
        return None
    labelled = int(confidence.counts[0, :UNLABELLED].sum())
    if labelled < MIN_LABELLED:
        stated = (Estimate(as_float(total) / rows) for total in confidence.unlabelled_sums)
        return WithoutLabels(rows, 0, *stated)
    return WithoutLabels(rows, labelled, *(_calibrated(counts) for counts in confidence.counts))


def _calibrated(counts: Integers) -> Estimate:
    value = _expected(counts[WRONG], counts[RIGHT], counts[UNLABELLED])
    known = counts[:UNLABELLED]
    total = int(known.sum())
    random = np.random.default_rng(0)
    drawn = random.multinomial(total, known.ravel() / total, _RESAMPLES).reshape(-1, 2, BINS)
    again = np.array([_expected(wrong, right, counts[UNLABELLED]) for wrong, right in drawn])
    spread = float(norm.ppf(0.5 + CONFIDENCE / 2) * again.std())
    return Estimate(value, max(0.0, value - spread), min(1.0, value + spread))


def _expected(wrong: Integers, right: Integers, unlabelled: Integers) -> float:
    """The mean of the calibrated confidence over the rows without a label."""
    labelled = wrong + right
    seen = np.flatnonzero(labelled)
    rates: Floats = right[seen] / labelled[seen]
    fit = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip")
    fit.fit(seen, rates, sample_weight=labelled[seen])
    asked = np.flatnonzero(unlabelled)
    return float(np.average(fit.predict(asked), weights=unlabelled[asked]))
