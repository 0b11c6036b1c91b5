"""A sample of ids that adds up: how much of what was counted was counted before, or learned from.

The k different ids with the smallest hashes (bottom-k), and how often each was seen. Where several sketches are merged,
the k smallest of all have been in each sketch whose rows had them, so their counts are exact, in any order of merging.
They are a uniform sample of the different ids. Source: E. Cohen and H. Kaplan, Summarizing data using bottom-k
sketches, PODC 2007.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np

from models.evidence.record.identity import Hashes, Ids, hashes

K = 256
K_OF_TRAINING = 4096  # a few files of evidence are a small part of what a model learned from


@dataclass(frozen=True)
class Share:
    """A share of rows, estimated from `sample` different ids; `error` is its standard error."""

    value: float
    error: float
    sample: int


class Sketch:
    """Grows by `add` and `merge`. `counts`: hash of an id (64 bits) → rows that had it, of the `k` smallest hashes."""

    def __init__(self, k: int = K, counts: Mapping[int, int] | None = None) -> None:
        self.k = k
        self.counts: dict[int, int] = dict(counts or {})

    def add(self, ids: Ids) -> None:
        """Adds rows by their ids; a gap is none."""
        found, known = hashes(ids)
        self.add_hashes(found[known])

    def add_hashes(self, found: Hashes) -> None:
        """Adds rows by the hashes of their ids."""
        different, rows = np.unique(found[found <= np.uint64(self.bound)], return_counts=True)
        self._plus(dict(zip(different[: self.k].tolist(), rows[: self.k].tolist(), strict=True)))

    def merge(self, other: Sketch) -> None:
        """Adds the rows of another sketch; keeps as many ids as the smaller of the two."""
        self.k = min(self.k, other.k)
        self._plus(other.counts)

    @property
    def bound(self) -> int:
        """All ids with hashes up to it are in the sketch."""
        return max(self.counts) if len(self.counts) >= self.k else 2**64 - 1

    def repeated(self) -> Share | None:
        """The share of rows whose id an earlier row has had; None where there are no ids.

        1 - 1 / m, with m the mean number of rows per id; its error is s / (m² √n) with s their standard deviation over
        n ids. Source: W. Cochran, Sampling Techniques, Wiley 1977, ch. 6 (the ratio of two means). It is exact, and the
        error 0, where all ids are in the sketch.
        """
        times = list(self.counts.values())
        if not times:
            return None
        mean = sum(times) / len(times)
        spread = sqrt(sum((each - mean) ** 2 for each in times) / max(1, len(times) - 1))
        error = spread / (mean**2 * sqrt(len(times))) if len(times) >= self.k else 0.0
        return Share(1 - 1 / mean, error, len(times))

    def share_in(self, other: Sketch) -> Share | None:
        """The share of this sketch's rows whose id is in `other`; None where the two have no range in common.

        Over the ids that both would have kept; the error is that of a proportion, √(p (1 - p) / n).
        """
        bound = min(self.bound, other.bound)
        common = {each: rows for each, rows in self.counts.items() if each <= bound}
        if not common:
            return None
        share = sum(rows for each, rows in common.items() if each in other.counts) / sum(common.values())
        return Share(share, sqrt(share * (1 - share) / len(common)), len(common))

    def to_json(self) -> dict[str, Any]:
        """As plain data: hashes as hexadecimal text, since JSON's numbers end at 2^53; no `rows` where each had one.

        A worker reads those of a training whenever it loads a version, as YAML: thousands of entries take their time.
        """
        ordered = sorted(self.counts.items())
        rows = [rows for _, rows in ordered]
        return {
            "k": self.k,
            "hashes": "".join(f"{each:016x}" for each, _ in ordered),
            "rows": rows if any(each != 1 for each in rows) else [],
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Sketch:
        """What `to_json` gave. Raises ValueError, KeyError or TypeError where it is something else."""
        text = fields["hashes"]
        hashes = [int(text[at : at + 16], 16) for at in range(0, len(text), 16)]
        rows = [int(each) for each in fields["rows"]] or [1] * len(hashes)
        if (k := int(fields["k"])) < 1:
            raise ValueError(f"a sample of {k} ids")
        return cls(k, dict(zip(hashes, rows, strict=True)))

    def _plus(self, counts: Mapping[int, int]) -> None:
        for each, rows in counts.items():
            self.counts[each] = self.counts.get(each, 0) + rows
        if len(self.counts) > self.k:
            self.counts = {each: self.counts[each] for each in heapq.nsmallest(self.k, self.counts)}


def training_sketch(ids: Ids) -> Sketch:
    """The sketch of the rows that a model is fitted on."""
    sketch = Sketch(K_OF_TRAINING)
    sketch.add(ids)
    return sketch
