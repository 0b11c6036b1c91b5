"""The proper scores of single rows, as the record sums them."""

from __future__ import annotations

import numpy as np

from models.evidence.record.exact import Floats, Integers, exact_sum

LOSSES = ("log_loss", "brier")
SUMS = ("production", "production_squared", "staging", "staging_squared", "difference", "difference_squared")
_EPSILON = float(np.finfo(np.float64).eps)


def log_loss(probabilities: Floats, truth: Integers) -> Floats:
    """Minus the logarithm of the true class's probability, clipped to [ε, 1-ε] as scikit-learn's `log_loss` does.

    `probabilities` [N, K], `truth` [N] in 0…K-1. Source: Good 1952, "Rational decisions".
    """
    of_truth = probabilities[np.arange(truth.size), truth]
    return np.asarray(-np.log(np.clip(of_truth, _EPSILON, 1 - _EPSILON)))


def brier(probabilities: Floats, truth: Integers) -> Floats:
    """Squared distance between [N, K] probabilities and the true classes; halved for two classes (0 to 1), else 0 to 2.

    Source: Brier 1950, "Verification of forecasts expressed in terms of probability"; scikit-learn's
    `brier_score_loss` halves alike.
    """
    squared = np.square(probabilities - np.eye(probabilities.shape[1])[truth]).sum(axis=1)
    return np.asarray(squared / 2 if probabilities.shape[1] == 2 else squared)


def summed_scores(production: Floats, staging: Floats) -> dict[str, int]:
    """Exact sums of two models' N scores: each, its square, and the paired difference staging - production."""
    difference = staging - production
    values = (production, production**2, staging, staging**2, difference, difference**2)
    return {name: exact_sum(value) for name, value in zip(SUMS, values, strict=True)}
