"""Records come in one by one and are kept as their sum, with a few figures per file: memory stays small."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from models.evidence.record import bins
from models.evidence.record.columns import OUTCOMES
from models.evidence.record.comparison import Comparison
from models.evidence.record.exact import Integers
from models.evidence.record.pair import Pair

_TENTH_OF_SCORE: Integers = np.eye(bins.CALIBRATION_BINS, dtype=np.int64)[bins.calibration_bin(bins.score_centres())]
_BOTH, _LOST, _WON, _NEITHER = range(len(OUTCOMES))


@dataclass(frozen=True)
class FileFigures:
    """The counts of one file; files are added in order of time.

    `both_right`, `won`, `lost`: labelled rows that both models had right, only staging, only production. The others:
    labelled rows, rows that both scored, rows on which both agree, rows of the positive class by model [2], and scores
    by tenth [2, 10].
    """

    name: str
    generation: str
    sha256: str | None
    first_event: datetime | None
    last_event: datetime | None
    both_right: int
    won: int
    lost: int
    labelled: int
    rows: int
    agree: int
    production_positive: int
    staging_positive: int
    scores: Integers

    @property
    def order(self) -> tuple[float, str, str]:
        """By event time; files of one moment by their names."""
        return (self.first_event.timestamp() if self.first_event else 0.0, self.name, self.generation)


@dataclass
class Gathered:
    """The records of one pair: their sum, and the files that they came from."""

    pair: Pair
    whole: Comparison = field(init=False)
    copies: int = 0  # files left out, because their content had counted
    copied_rows: int = 0
    _scored: set[tuple[str, str]] = field(default_factory=set)
    _contents: set[tuple[str, str]] = field(default_factory=set)
    _files: list[FileFigures] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.whole = Comparison(self.pair)

    def add(self, record: Comparison) -> None:
        """Adds one file's record, unless `passes_over` it. Raises Incomparable where it is of another pair."""
        if self.passes_over(record):
            return
        self.whole.merge(record)
        self._files.append(_figures(record))
        if scored := _scored(record):
            self._scored.add(scored)
        self._contents.update(_contents(record))

    def passes_over(self, record: Comparison) -> bool:
        """True where its rows have counted; a copy is then noted, each once.

        Of the re-scorings of one generation the first given counts. Equal content under the same name counts once, and
        under any name where its rows have ids: they are the same rows.
        """
        scored = _scored(record)
        if scored is not None and scored in self._scored:
            return True
        if not self._contents.isdisjoint(_contents(record)):
            self.copies += 1
            self.copied_rows += int(record.rows[0])
            if scored is not None:
                self._scored.add(scored)
            return True
        return False

    @property
    def files(self) -> list[FileFigures]:
        """The files in order of event time, whatever the order they were given in."""
        return sorted(self._files, key=lambda file: file.order)


def gather(records: Iterable[Comparison]) -> list[Gathered]:
    """The records by pair of versions, pairs in order of their first file; give a file's newest re-scoring first."""
    pairs: dict[object, Gathered] = {}
    for record in records:
        key = (record.pair.production, record.pair.staging)
        if key not in pairs:
            pairs[key] = Gathered(record.pair)
        pairs[key].add(record)
    return sorted(pairs.values(), key=lambda gathered: gathered.files[0].order)


def _scored(record: Comparison) -> tuple[str, str] | None:
    """Which generation was scored."""
    return (record.file.name, record.file.generation.partition(".")[0]) if record.file else None


def _contents(record: Comparison) -> set[tuple[str, str]]:
    """Under which names the record's content counts; none in records of before its digest was kept."""
    if record.file is None or record.file.sha256 is None:
        return set()
    anywhere = {("", record.file.sha256)} if record.identified else set()
    return {(record.file.name, record.file.sha256)} | anywhere


def _figures(record: Comparison) -> FileFigures:
    positive = record.pair.classes.index(record.pair.positive)
    return FileFigures(
        name=record.file.name if record.file else "",
        generation=record.file.generation if record.file else "",
        sha256=record.file.sha256 if record.file else None,
        first_event=record.first_event,
        last_event=record.last_event,
        both_right=int(record.paired[_BOTH]),
        won=int(record.paired[_WON]),
        lost=int(record.paired[_LOST]),
        labelled=int(record.paired.sum()),
        rows=int(record.agreement.sum()),
        agree=int(np.trace(record.agreement)),
        production_positive=int(record.agreement[positive].sum()),
        staging_positive=int(record.agreement[:, positive].sum()),
        scores=record.scores.sum(axis=1) @ _TENTH_OF_SCORE,
    )
