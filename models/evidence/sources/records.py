"""The comparison records in a bucket: read, and added up by pair, with what went wrong on the way."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from ledger.names import COMPARISONS, COMPARISONS_OF, ShadowKey, parse_comparison
from models.evidence.figures.summarise import UNKNOWN_SIZES, USUAL_TERMS, summarise
from models.evidence.figures.summary import Summary
from models.evidence.figures.terms import Terms
from models.evidence.record.comparison import Comparison
from models.evidence.record.pair import Incomparable, Version
from models.evidence.record.training import UNKNOWN, Learned
from models.evidence.sources.labels import LateLabels, label_objects, read_label_file, read_labels
from models.evidence.sources.late_labels import NotJoined, relabel
from models.registry.spec import Size
from transport.bucket import Bucket, ObjectNotFound, get

FAILED_SCHEMA = "understudy.comparison.failed"
PAGE = 32  # records that are read at once
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


@dataclass(frozen=True)
class Failed:
    """A file that could not be compared, and why."""

    pair: PairId
    event_time: datetime | None
    reason: str


class EvidenceReader:
    """Adds up the pairs that `takes` accepts, files of a window only; grows with `add`.

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
        self.pairs: dict[PairId, Comparison] = {}
        self.others: dict[PairId, datetime | None] = {}  # pairs that were not asked for, and their newest event
        self.unreadable: dict[str, str] = {}
        self.bad_labels: list[str] = []
        self._bucket = bucket
        self._takes = takes
        self._window = window or Window()
        self._label_files = tuple(label_files)
        self.label_objects = label_objects(bucket)
        self._labels: dict[tuple[str | None, tuple[str, ...]], LateLabels] = {}
        self._late: dict[PairId, LateLabels | None] = {}
        self._failures: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        self._not_joined: defaultdict[PairId, dict[str, str]] = defaultdict(dict)

    def add(self, keys: Iterable[ShadowKey]) -> set[PairId]:
        """Reads these comparisons, of one content the newest first; gives the pairs that have changed."""
        changed: set[PairId] = set()
        for key, found in read_comparisons(self._bucket, keys):
            if isinstance(found, str):
                self.unreadable[str(key)] = found
            elif isinstance(found, Failed):
                if self._wanted(found.pair, found.event_time):
                    self._failures[_names(found.pair)][found.reason] += 1
                    changed |= {pair for pair in self.pairs if _names(pair) == _names(found.pair)}
            elif self._wanted(found.pair.versions, found.first_event):
                self._add(key, found)
                changed.add(found.pair.versions)
        return changed

    def summary(
        self,
        pair: PairId,
        *,
        terms: Terms = USUAL_TERMS,
        sizes: tuple[Size, Size] = UNKNOWN_SIZES,
        learned: Learned = UNKNOWN,
        more_notes: Iterable[str] = (),
    ) -> Summary:
        """What the pair's files come to, with notes on what is not in it. Raises BadMeasure."""
        made = summarise(self.pairs[pair], terms=terms, sizes=sizes, learned=learned)
        return replace(made, notes=(*more_notes, *self._notes(pair), *made.notes))

    def _notes(self, pair: PairId) -> list[str]:
        """What a reader should know of files that were not compared, and of labels that came later."""
        notes = []
        if failures := self._failures[_names(pair)]:
            reasons = [f"{count:,}: {reason.rstrip('.')}" for reason, count in failures.most_common(NAMED)]
            more = "; …" if len(failures) > NAMED else ""
            notes.append(f"{counted_files(failures.total())} could not be compared ({'; '.join(reasons)}{more}).")
        if late := self._late[pair]:
            notes.append(f"Labels that came later: {late.joined()}.")
        if not_joined := self._not_joined[pair]:
            named = [f"{name}: {reason}" for name, reason in list(not_joined.items())[:NAMED]]
            more = "; …" if len(not_joined) > NAMED else ""
            notes.append(
                f"{counted_files(len(not_joined))} could not be joined with labels that came later "
                f"({'; '.join(named)}{more})."
            )
        return notes

    @property
    def failed(self) -> Counter[str]:
        """Why files of the pairs asked for could not be compared, those without any record too."""
        return sum(self._failures.values(), Counter())

    def _wanted(self, pair: PairId, at: datetime | None) -> bool:
        if not self._takes(*pair):
            self.others[pair] = max(filter(None, (self.others.get(pair), at)), default=None)
            return False
        return self._window.holds(at)

    def _add(self, key: ShadowKey, record: Comparison) -> None:
        pair = record.pair.versions
        if pair not in self.pairs:
            labels = self._late_labels(record.pair.label_column, record.pair.classes)
            self.pairs[pair], self._late[pair] = Comparison(record.pair), labels and labels.afresh()
        known, late = self.pairs[pair], self._late[pair]
        if known.passes_over(record):
            return
        if late is not None:
            try:
                record = relabel(self._bucket, record, late, key.alias)
            except NotJoined as error:
                self._not_joined[pair][str(key)] = str(error)
        try:
            known.take(record)
        except Incomparable as error:
            self._failures[_names(pair)][str(error)] += 1

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


def comparison_keys(bucket: Bucket) -> list[ShadowKey]:
    """Every comparison there is, with every challenger; of one file the newest first, whose outputs still stand."""
    found = (parse_comparison(info.name) for folder in (COMPARISONS, COMPARISONS_OF) for info in bucket.objects(folder))
    keys = [key for key in found if key is not None]
    return sorted(keys, key=lambda key: (key.name, -key.generation.content, -key.generation.rescore, key.alias))


def read_comparisons(
    bucket: Bucket, keys: Iterable[ShadowKey]
) -> Iterator[tuple[ShadowKey, Comparison | Failed | str]]:
    """What lies there, in that order, read a page at a time; what is gone meanwhile is passed over."""
    rest = iter(keys)
    with ThreadPoolExecutor(8, thread_name_prefix="records") as threads:
        while page := list(islice(rest, PAGE)):
            for key, content in zip(page, threads.map(lambda key: _content(bucket, key), page), strict=True):
                if content is not None:
                    yield key, _understood(content)


def _content(bucket: Bucket, key: ShadowKey) -> bytes | None:
    try:
        return get(bucket, key.comparison)
    except ObjectNotFound:
        return None


def _understood(content: bytes) -> Comparison | Failed | str:
    try:
        fields = json.loads(content)
        if fields.get("schema") != FAILED_SCHEMA:
            return Comparison.from_json(fields)
        at = datetime.fromisoformat(fields["file"]["event_time"])
        pair = _version(fields["production"]), _version(fields["staging"])
        return Failed(pair, at if at.tzinfo else at.replace(tzinfo=UTC), str(fields["failed"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return str(error) or repr(error)


def _version(text: str) -> Version:
    name, _, version = text.rpartition(" version ")
    return Version(name, version)


def newest(pairs: dict[PairId, datetime | None]) -> PairId | None:
    """The pair whose last event is the newest."""

    def order(pair: PairId) -> tuple[float, str]:
        at = pairs[pair]
        return at.timestamp() if at else 0.0, str(pair)

    return max(pairs, key=order, default=None)


def _names(pair: PairId) -> tuple[str, str]:
    return str(pair[0]), str(pair[1])


def counted_files(count: int) -> str:
    """`1 file`, `2 files`."""
    return "1 file" if count == 1 else f"{count:,} files"
