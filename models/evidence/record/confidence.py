"""How probable both models held their own answers, and which came true: what an estimate without labels needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from models.evidence.record import bins
from models.evidence.record.exact import Floats, Integers, exact_sum

BINS = 256
WRONG, RIGHT, UNLABELLED = range(3)
_SCORES_PER_BIN = bins.SCORE_BINS // BINS


class Confidence:
    """Grows by `add` and `merge`. Production's and staging's, in this order.

    `counts` [2, 3, BINS]: rows by what became of the answer (WRONG, RIGHT, UNLABELLED) and by the probability that the
    model gave to it, in bins of equal width on the logit. `unlabelled_sums` [2]: exact sums of the probabilities of
    rows without a label.
    """

    def __init__(self) -> None:
        self.counts: Integers = np.zeros((2, 3, BINS), dtype=np.int64)
        self.unlabelled_sums = [0, 0]

    def add(self, model: int, confidence: Floats, answers: Integers, true: Integers) -> None:
        """Adds N rows of one model. `confidence` [N]: 0 to 1; `answers`, `true` [N]: classes, -1 without a label."""
        unlabelled = true < 0
        fate = np.where(unlabelled, UNLABELLED, (answers == true).astype(np.int64))
        cells = fate * BINS + bins.score_bin(confidence) // _SCORES_PER_BIN
        self.counts[model] += np.bincount(cells, minlength=3 * BINS).reshape(3, BINS)
        self.unlabelled_sums[model] += exact_sum(confidence[unlabelled])

    def merge(self, other: Confidence) -> None:
        """Adds the rows of another record."""
        self.counts += other.counts
        self.unlabelled_sums = [a + b for a, b in zip(self.unlabelled_sums, other.unlabelled_sums, strict=True)]

    def to_json(self) -> dict[str, Any]:
        return {"counts": bins.to_sparse(self.counts), "unlabelled_sums": list(self.unlabelled_sums)}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any] | None) -> Confidence:
        """What `to_json` gave; nothing was kept in records of before this was (None).

        Raises KeyError, TypeError or ValueError where it is something else.
        """
        found = cls()
        if fields is None:
            return found
        found.counts = bins.from_sparse(fields["counts"], found.counts.shape)
        production, staging = fields["unlabelled_sums"]
        found.unlabelled_sums = [int(production), int(staging)]
        return found
