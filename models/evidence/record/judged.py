"""What the measures need of labelled rows besides the record's tables: joint counts of classes, bounded losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from models.evidence.record.exact import Floats, Integers, exact_sum

CLIP = 1e-3
LARGEST_LOSS = -float(np.log(CLIP))  # 6.91
SMALLEST_LOSS = -float(np.log1p(-CLIP))
_DENSE_CLASSES = 16  # up to these counting beats sorting


def _none() -> Integers:
    return np.zeros(0, dtype=np.int64)


@dataclass(eq=False)
class Judged:
    """Grows by `merge`; empty in records of before it was kept.

    `at`, `counts` [M]: how many rows have true class t, production's answer p and staging's s, at t·K² + p·K + s of K
    classes; positions grow. `clipped`: exact sums of production's log loss, of staging's, and of their difference
    squared, where each row's true class is taken to have a probability between CLIP and 1 - CLIP: so no row's loss
    exceeds 6.91, and means of it may be bet on.
    """

    at: Integers = field(default_factory=_none)
    counts: Integers = field(default_factory=_none)
    clipped: tuple[int, int, int] = (0, 0, 0)

    @property
    def rows(self) -> int:
        return int(self.counts.sum())

    @classmethod
    def of(cls, classes: int, answers: tuple[Integers, ...], losses: Sequence[Floats]) -> Judged:
        """Of N rows: their true class, production's and staging's [N]; both models' log losses, not clipped [N]."""
        true, first, second = answers
        flat = (true * classes + first) * classes + second
        if classes <= _DENSE_CLASSES:
            dense = np.bincount(flat, minlength=classes**3)
            at = np.flatnonzero(dense)
            counts = dense[at]
        else:
            at, counts = np.unique(flat, return_counts=True)
        production, staging = (np.clip(each, SMALLEST_LOSS, LARGEST_LOSS) for each in losses)
        squared = np.square(staging - production)
        return cls(at, counts, (exact_sum(production), exact_sum(staging), exact_sum(squared)))

    def answers(self, classes: int) -> tuple[Integers, Integers, Integers]:
        """Of each of M positions the true class, production's and staging's."""
        true, first = np.divmod(self.at, classes**2)
        return true, *np.divmod(first, classes)

    def merge(self, other: Judged) -> None:
        """Adds the rows of another record."""
        if not self.at.size:
            self.at, self.counts = other.at, other.counts
        elif other.at.size:
            self.at, place = np.unique(np.concatenate([self.at, other.at]), return_inverse=True)
            counts: Integers = np.zeros(self.at.size, dtype=np.int64)
            np.add.at(counts, place, np.concatenate([self.counts, other.counts]))
            self.counts = counts
        mine, theirs = self.clipped, other.clipped
        self.clipped = (mine[0] + theirs[0], mine[1] + theirs[1], mine[2] + theirs[2])

    def to_json(self) -> dict[str, Any]:
        return {"at": self.at.tolist(), "counts": self.counts.tolist(), "clipped_log_loss": list(self.clipped)}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any] | None, classes: int) -> Judged:
        """What `to_json` gave; None: it was not kept. Raises KeyError, TypeError or ValueError for something else."""
        if fields is None:
            return cls()
        at, counts = (np.array(fields[name], dtype=np.int64) for name in ("at", "counts"))
        inside = at.shape == counts.shape and at.ndim == 1 and (not at.size or 0 <= at[0] <= at[-1] < classes**3)
        if not inside or np.any(np.diff(at) <= 0) or np.any(counts <= 0):
            raise ValueError("answers of a comparison record are no table of its classes")
        production, staging, squared = fields["clipped_log_loss"]
        return cls(at, counts, (int(production), int(staging), int(squared)))
