"""The files that a comparison comes from: what each comes to, and whose rows have counted already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from models.evidence.record import bins
from models.evidence.record.columns import OUTCOMES
from models.evidence.record.exact import Integers
from models.evidence.record.judged import Judged

_TENTH_OF_SCORE: Integers = np.eye(bins.CALIBRATION_BINS, dtype=np.int64)[bins.calibration_bin(bins.score_centres())]
_BOTH, _LOST, _WON, _NEITHER = range(len(OUTCOMES))


@dataclass(frozen=True)
class FileHeader:
    """Where a record's rows come from; `event_time` (aware) orders the files for the verdict.

    `sha256`: of the input, None in records of before it was kept; `encoding`: in which the worker read it.
    """

    name: str
    generation: str
    event_time: datetime
    sha256: str | None = None
    encoding: str = "utf-8"

    @property
    def scored(self) -> tuple[str, str]:
        """Which generation was scored."""
        return self.name, self.generation.partition(".")[0]

    def contents(self, identified: bool) -> set[tuple[str, str]]:
        """Under which names its content counts; none in records of before its digest was kept."""
        if self.sha256 is None:
            return set()
        anywhere = {("", self.sha256)} if identified else set()
        return {(self.name, self.sha256)} | anywhere


@dataclass(frozen=True)
class FileFigures:
    """The counts of one file, None where its record names none.

    `both_right`, `won`, `lost`: labelled rows that both models had right, only staging, only production. The others:
    labelled rows, rows that both scored, rows on which both agree, rows of the positive class by model [2], scores
    by tenth [2, 10], what the measures need, and exact sums of the Brier scores' difference and its square.
    """

    file: FileHeader | None
    both_right: int
    won: int
    lost: int
    labelled: int
    rows: int
    agree: int
    positive: tuple[int, int]
    scores: Integers
    judged: Judged
    brier: tuple[int, int]

    @classmethod
    def of(
        cls,
        file: FileHeader | None,
        paired: Integers,
        agreement: Integers,
        scores: Integers,
        positive: int,
        judged: Judged,
        sums: Mapping[str, int],
    ) -> FileFigures:
        """From the tables of a file's comparison; `positive`: the place of the positive class."""
        return cls(
            file=file,
            both_right=int(paired[_BOTH]),
            won=int(paired[_WON]),
            lost=int(paired[_LOST]),
            labelled=int(paired.sum()),
            rows=int(agreement.sum()),
            agree=int(np.trace(agreement)),
            positive=(int(agreement[positive].sum()), int(agreement[:, positive].sum())),
            scores=scores.sum(axis=1) @ _TENTH_OF_SCORE,
            judged=judged,
            brier=(sums["brier.difference"], sums["brier.difference_squared"]),
        )

    @property
    def name(self) -> str:
        return self.file.name if self.file else ""

    @property
    def event_time(self) -> datetime | None:
        return self.file.event_time if self.file else None

    @property
    def order(self) -> tuple[float, str, str]:
        """By event time; files of one moment by their names."""
        return (self.file.event_time.timestamp(), self.file.name, self.file.generation) if self.file else (0.0, "", "")


@dataclass
class Files:
    """Grows by `add` and `merge`. `copies`: files left out, because their content had counted."""

    copies: int = 0
    copied_rows: int = 0
    _figures: list[FileFigures] = field(default_factory=list)
    _counted: set[tuple[str, str]] = field(default_factory=set)  # generations that were scored, and contents

    def passes_over(self, file: FileHeader | None, rows: int, identified: bool) -> bool:
        """True where the file's rows have counted; a copy is then noted, each once. `identified`: that rows have ids.

        Of the re-scorings of one generation the first given counts. Equal content under the same name counts once, and
        under any name where its rows have ids: they are the same rows.
        """
        if file is None:
            return False
        if file.scored in self._counted:
            return True
        if self._counted.isdisjoint(file.contents(identified)):
            return False
        self.copies += 1
        self.copied_rows += rows
        self._counted.add(file.scored)
        return True

    def add(self, figures: FileFigures, identified: bool) -> None:
        """Adds a file that counts."""
        self._figures.append(figures)
        if figures.file is not None:
            self._counted |= {figures.file.scored, *figures.file.contents(identified)}

    def merge(self, other: Files) -> None:
        self.copies += other.copies
        self.copied_rows += other.copied_rows
        self._figures += other._figures
        self._counted |= other._counted

    def in_order(self) -> list[FileFigures]:
        """By event time, whatever the order they were given in."""
        return sorted(self._figures, key=lambda figures: figures.order)
