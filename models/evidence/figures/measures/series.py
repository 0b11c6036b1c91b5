"""One measure's evidence, file by file in order of event time; here of what is counted as won and lost."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from models.evidence.figures.sequence import Looks, looks_by_file, looks_by_row
from models.evidence.record.exact import Integers


class Series(Protocol):
    """What a verdict is reached from. `labelled` [F]: labelled rows per file; none where a record cannot answer."""

    @property
    def labelled(self) -> Integers: ...

    def looks(self, unit: str, error: float) -> Looks:
        """The evidence after each file, by `row` or by `file`, where both sides together may err with `error`."""

    def grown(self, unit: str, times: float) -> Series:
        """So many times as many rows, in one file, or files, as they came again and again: for a forecast."""


@dataclass(frozen=True)
class CountSeries:
    """Accuracy, among all rows or those of one class; all arrays are [F].

    `won`, `lost`: rows that only staging, only production had right, of the `asked` ones.
    """

    won: Integers
    lost: Integers
    asked: Integers
    labelled: Integers

    def looks(self, unit: str, error: float) -> Looks:
        found = (looks_by_file if unit == "file" else looks_by_row)(self.won, self.lost, self.asked, error)
        return replace(found, rows=np.cumsum(self.labelled))

    def grown(self, unit: str, times: float) -> CountSeries:
        won, lost, asked, labelled = (
            np.resize(part, grown_files(len(part), times)) if unit == "file" else grown_rows(part, times)
            for part in (self.won, self.lost, self.asked, self.labelled)
        )
        return CountSeries(won, lost, asked, labelled)


def grown_files(files: int, times: float) -> int:
    """So many times as many files, and one more at least."""
    return max(round(files * times), files + 1)


def grown_rows(counts: Integers, times: float) -> Integers:
    """All rows in one file, so many times."""
    return np.array([round(float(np.sum(counts)) * times)])
