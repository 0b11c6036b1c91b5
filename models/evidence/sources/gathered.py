"""What a bucket says of the pairs asked for: gathered record by record, with what went wrong on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from ledger.names import Key
from models.evidence.figures.again import UNKNOWN, Learned
from models.evidence.figures.gather import Gathered
from models.evidence.figures.summarise import UNKNOWN_SIZES, summarise
from models.evidence.figures.summary import Summary
from models.evidence.record.comparison import Comparison
from models.evidence.record.pair import Incomparable, Version
from models.evidence.sources.labels import LateLabels
from models.evidence.sources.late_labels import NotJoined
from models.evidence.sources.source import (
    Failed,
    label_objects,
    read_comparisons,
    read_label_file,
    read_labels,
    relabel,
)
from models.registry.spec import Size
from transport.bucket import Bucket

NAMED = 5  # files or reasons that a note lists

PairId = tuple[Version, Version]


@dataclass(frozen=True)
class Window:
    """Files whose event was at `since` or later, and before `until`; None is no bound."""

    since: datetime | None = None
    until: datetime | None = None

    def holds(self, at: datetime | None) -> bool:
        if at is None:
            return self.since is None and self.until is None
        return (self.since is None or at >= self.since) and (self.until is None or at < self.until)


@dataclass
class PairEvidence:
    """One pair's records, why other files have none, and how labels that came later met its rows."""

    gathered: Gathered
    late: LateLabels | None = None
    failures: Counter[str] = field(default_factory=Counter)
    not_joined: dict[str, str] = field(default_factory=dict)

    def summary(
        self,
        *,
        unit: str,
        margin: float,
        sizes: tuple[Size, Size] = UNKNOWN_SIZES,
        learned: Learned = UNKNOWN,
        more_notes: Iterable[str] = (),
    ) -> Summary:
        """The pair's summary, with notes on what is not in it."""
        made = summarise(self.gathered, unit=unit, margin=margin, sizes=sizes, learned=learned)
        return replace(made, notes=(*more_notes, *self.notes(), *made.notes))

    def notes(self) -> list[str]:
        """What a reader should know of files that were not compared, and of labels that came later."""
        notes = []
        if self.failures:
            reasons = [f"{count:,}: {reason.rstrip('.')}" for reason, count in self.failures.most_common(NAMED)]
            more = "; …" if len(self.failures) > NAMED else ""
            notes.append(f"{counted_files(self.failures.total())} could not be compared ({'; '.join(reasons)}{more}).")
        if self.late is not None:
            notes.append(f"Labels that came later: {self.late.joined()}.")
        if self.not_joined:
            named = [f"{name}: {reason}" for name, reason in list(self.not_joined.items())[:NAMED]]
            more = "; …" if len(self.not_joined) > NAMED else ""
            notes.append(
                f"{counted_files(len(self.not_joined))} could not be joined with labels that came later "
                f"({'; '.join(named)}{more})."
            )
        return notes


class EvidenceReader:
    """Gathers the pairs that `takes` accepts, files of a window only; grows with `add`.

    `label_files`: of this machine, besides those in the bucket. Raises BadLabels for those, BucketError.
    """

    def __init__(
        self,
        bucket: Bucket,
        takes: Callable[[Version, Version], bool],
        *,
        window: Window | None = None,
        label_files: Iterable[Path] = (),
    ) -> None:
        self.pairs: dict[PairId, PairEvidence] = {}
        self.others: dict[PairId, datetime | None] = {}  # pairs that were not asked for, and their newest event
        self.unreadable: dict[str, str] = {}
        self.bad_labels: list[str] = []
        self._bucket = bucket
        self._takes = takes
        self._window = window or Window()
        self._label_files = tuple(label_files)
        self.label_objects = label_objects(bucket)
        self._labels: dict[tuple[str | None, tuple[str, ...]], LateLabels] = {}
        self._failures: dict[tuple[str, str], Counter[str]] = {}

    def add(self, keys: Iterable[Key]) -> set[PairId]:
        """Reads these comparisons, of one content the newest first; gives the pairs that have changed."""
        changed: set[PairId] = set()
        for found in read_comparisons(self._bucket, keys):
            if isinstance(found.what, str):
                self.unreadable[str(found.key)] = found.what
            elif isinstance(found.what, Failed):
                if self._wanted(found.what.production, found.what.staging, found.what.event_time):
                    failures = self._failures.setdefault(_names(found.what.production, found.what.staging), Counter())
                    failures[found.what.reason] += 1
                    changed |= {pair for pair in self.pairs if _names(*pair) == _names(*_sides(found.what))}
            elif self._wanted(found.what.pair.production, found.what.pair.staging, found.what.first_event):
                changed.add(self._add(found.key, found.what))
        return changed

    @property
    def failed(self) -> Counter[str]:
        """Why files of the pairs asked for could not be compared, those without any record too."""
        return sum(self._failures.values(), Counter())

    def _wanted(self, production: Version, staging: Version, at: datetime | None) -> bool:
        if not self._takes(production, staging):
            seen = self.others.get((production, staging))
            self.others[production, staging] = max(filter(None, (seen, at)), default=None)
            return False
        return self._window.holds(at)

    def _add(self, key: Key, record: Comparison) -> PairId:
        pair = (record.pair.production, record.pair.staging)
        known = self.pairs.get(pair)
        if known is None:
            labels = self._late_labels(record.pair.label_column, record.pair.classes)
            failures = self._failures.setdefault(_names(*pair), Counter())
            known = PairEvidence(Gathered(record.pair), labels and labels.afresh(), failures)
            self.pairs[pair] = known
        if known.gathered.passes_over(record):
            return pair
        if known.late is not None:
            try:
                record = relabel(self._bucket, record, known.late)
            except NotJoined as error:
                known.not_joined[str(key)] = str(error)
        try:
            known.gathered.add(record)
        except Incomparable as error:
            known.failures[str(error)] += 1
        return pair

    def _late_labels(self, column: str | None, classes: tuple[str, ...]) -> LateLabels | None:
        if not self.label_objects and not self._label_files:
            return None
        if (column, classes) not in self._labels:
            late = LateLabels(classes)
            for path in self._label_files:
                read_label_file(path, column, late)
            self.bad_labels += read_labels(self._bucket, self.label_objects, column, late)
            self._labels[column, classes] = late
        return self._labels[column, classes]


def newest(pairs: dict[PairId, datetime | None]) -> PairId | None:
    """The pair whose last event is the newest."""

    def order(pair: PairId) -> tuple[float, str]:
        at = pairs[pair]
        return at.timestamp() if at else 0.0, str(pair)

    return max(pairs, key=order, default=None)


def _sides(failed: Failed) -> PairId:
    return failed.production, failed.staging


def _names(production: Version, staging: Version) -> tuple[str, str]:
    return str(production), str(staging)


def counted_files(count: int) -> str:
    """`1 file`, `2 files`."""
    return "1 file" if count == 1 else f"{count:,} files"
