"""The fixed bins that every comparison record shares, and how a mostly empty table of counts is written to JSON.

Scores are binned on the logit: a good classifier puts most rows next to 0 or 1, where bins of equal width would lump
them together and spoil the AUC. The joint table's edges lie on tenths too, so that calibration can be read from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from models.evidence.record.exact import Floats, Integers

SCORE_BINS = 4096
CALIBRATION_BINS = 10
DIFFERENCE_BINS = 2000
LARGEST_LOGIT = 37.0  # of the double next to 1

_ENDS = (1e-6, 1e-5, 1e-4, 1e-3, 5e-3, 0.01, 0.02)
_MIDDLE = tuple(twentieth / 20 for twentieth in range(1, 20))
JOINT_EDGES: Floats = np.array([*_ENDS, *_MIDDLE, *(1 - end for end in reversed(_ENDS))])
JOINT_BINS = len(JOINT_EDGES) + 1


def score_bin(probability: Floats) -> Integers:
    """N probabilities → their bins among SCORE_BINS, of equal width on the logit between ±LARGEST_LOGIT."""
    with np.errstate(divide="ignore"):
        logit = np.log(probability) - np.log1p(-probability)
    position = (np.clip(logit, -LARGEST_LOGIT, LARGEST_LOGIT) / (2 * LARGEST_LOGIT) + 0.5) * SCORE_BINS
    return np.asarray(np.minimum(position, SCORE_BINS - 1).astype(np.int64))


def score_centres() -> Floats:
    """The probability in the middle (on the logit) of each score bin: SCORE_BINS numbers, growing."""
    logit = ((np.arange(SCORE_BINS) + 0.5) / SCORE_BINS - 0.5) * 2 * LARGEST_LOGIT
    return np.asarray(1.0 / (1.0 + np.exp(-logit)))


def calibration_bin(probability: Floats) -> Integers:
    """N probabilities → tenths: [0, 0.1), [0.1, 0.2), … [0.9, 1]."""
    tenths = np.arange(1, CALIBRATION_BINS) / CALIBRATION_BINS
    return np.searchsorted(tenths, probability, side="right").astype(np.int64)


def joint_bin(probability: Floats) -> Integers:
    """N probabilities → bins between JOINT_EDGES, each of which lies within one calibration bin."""
    return np.searchsorted(JOINT_EDGES, probability, side="right").astype(np.int64)


def joint_to_calibration() -> Integers:
    """For each joint bin the calibration bin that holds it."""
    lower = np.concatenate([[0.0], JOINT_EDGES])
    return calibration_bin(lower)


def difference_bin(difference: Floats) -> Integers:
    """N differences of probabilities → bins of width 0.001 from -1 to 1."""
    position = np.floor((difference + 1.0) / 2.0 * DIFFERENCE_BINS)
    return np.clip(position, 0, DIFFERENCE_BINS - 1).astype(np.int64)


def difference_edges() -> Floats:
    """The DIFFERENCE_BINS + 1 edges of the bins of `difference_bin`."""
    return np.linspace(-1.0, 1.0, DIFFERENCE_BINS + 1)


def to_sparse(counts: Integers) -> dict[str, list[int]]:
    """The cells that are not nought: their positions in the flattened table (rows first), and their counts."""
    flat = counts.ravel()
    at = np.flatnonzero(flat)
    return {"at": at.tolist(), "counts": flat[at].tolist()}


def from_sparse(cells: Mapping[str, Any], shape: tuple[int, ...]) -> Integers:
    """What `to_sparse` wrote, as a table of `shape`. Raises ValueError where the cells do not fit it."""
    flat = np.zeros(int(np.prod(shape)), dtype=np.int64)
    at, counts = np.asarray(cells["at"], dtype=np.int64), np.asarray(cells["counts"], dtype=np.int64)
    if at.shape != counts.shape or at.ndim != 1 or (at.size and (at.min() < 0 or at.max() >= flat.size)):
        raise ValueError(f"cells of a table of {shape} lie outside it")
    if at.size and (np.unique(at).size != at.size or counts.min() < 0):
        raise ValueError(f"cells of a table of {shape} are there twice, or below nought")
    flat[at] = counts
    return flat.reshape(shape)
