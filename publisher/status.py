"""How a bucket and its queue stand: what waits, what is being scored, what ended how. Data only: others show it."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ledger.commit import read_receipt
from ledger.names import CLAIMS, RECEIPTS, Key, looks_like_input, parse_key, takes, why_no_input
from ledger.receipt import Outcome, Status
from ledger.records import RefusedVersion, refused_versions
from publisher.inputs import candidates, standings
from transport.bucket import Bucket, ObjectInfo
from transport.queue import Backlog, Queue

UNREADABLE = "unreadable"  # counted beside the statuses: a receipt that another program wrote
FIRST = 20  # objects that are no inputs, and files that wait, that are named


@dataclass(frozen=True)
class AliasesInForce:
    """A model version that scored one of the newest files, and when it last did so (RFC 3339)."""

    name: str
    version: str
    last_used: str


@dataclass(frozen=True)
class NotInput:
    """An object that looks like an input, and why it is none."""

    name: str
    reason: str


@dataclass(frozen=True)
class WaitingInput:
    """An input without a receipt of its present content: `since` when it was written, in seconds since 1970."""

    name: str
    generation: int
    size: int
    since: float


@dataclass(frozen=True)
class Overview:
    """Numbers of files are exact; what ended how is counted in the newest `looked_at` receipts alone.

    `unanswered`: inputs without a receipt of their present content, `oldest_unanswered` up to FIRST of them, the oldest
    in front; `claimed`: scored, with the receipt still to come;
    `receipts`: all there are, those of earlier contents and of re-scorings included. `not_inputs`: how many objects
    only look like inputs, `first_not_inputs` up to FIRST of them. `by_status`, `models` and `newest` (newest first)
    come from the receipts that were looked at, and so do `unknown` (column → rows with a text that the model was never
    shown) and `unknown_untold` (scored files whose version does not know what it was shown). `refused`: versions that
    aliases name and that were refused.
    """

    bucket: str
    queue: str
    backlog: Backlog
    inputs: int
    unanswered: int
    claimed: int
    receipts: int
    looked_at: int
    by_status: Mapping[str, int] = field(default_factory=dict)
    models: tuple[AliasesInForce, ...] = ()
    newest: tuple[Outcome, ...] = ()
    refused: tuple[RefusedVersion, ...] = ()
    not_inputs: int = 0
    first_not_inputs: tuple[NotInput, ...] = ()
    unknown: Mapping[str, int] = field(default_factory=dict)
    unknown_untold: int = 0
    oldest_unanswered: tuple[WaitingInput, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As plain data, for JSON."""
        return asdict(self)


ReadReceipt = Callable[[Bucket, Key, float], Outcome | None]
"""The receipt of a key that was written at this time, or None where it cannot be read."""


def read_if_readable(bucket: Bucket, key: Key, _written: float) -> Outcome | None:
    """Reads it. Raises BucketError."""
    try:
        return read_receipt(bucket, key)
    except ValueError:
        return None


def overview(
    bucket: Bucket,
    queue: Queue,
    *,
    prefix: str = "",
    newest: int = 20,
    read: int = 1000,
    reading: ReadReceipt = read_if_readable,
) -> Overview:
    """Looks at everything once: four listings, and the newest `read` receipts. Raises BucketError and QueueError.

    The listing of inputs reads the folders below the prefix too, `output/` and `labels/` not among them.
    """
    latest = _Latest(max(read, newest))
    others = _Others(prefix, bucket.url)
    waiting = _Oldest()
    inputs = 0
    for standing in standings(
        candidates(bucket, prefix, deeper=True, left_out=others.left_out),
        latest.noting(bucket.objects(RECEIPTS + prefix, recursive=False)),
    ):
        if takes(standing.input.name, prefix, bucket.url):
            inputs += 1
            if standing.receipt is None:
                waiting.see(standing.input)
        else:
            others.see(standing.input.name)
    by_status: Counter[str] = Counter()
    outcomes = []
    for written, key in latest.newest_first():
        outcome = reading(bucket, key, written)
        by_status[outcome.status.value if outcome else UNREADABLE] += 1
        if outcome:
            outcomes.append(outcome)
    return Overview(
        bucket=bucket.url,
        queue=queue.url,
        backlog=queue.backlog(),
        inputs=inputs,
        unanswered=waiting.count,
        claimed=sum(1 for claim in bucket.objects(CLAIMS) if parse_key(claim.name, CLAIMS)),
        receipts=latest.count,
        looked_at=sum(by_status.values()),
        by_status={name: by_status[name] for name in (*Status, UNREADABLE) if by_status[name]},
        models=_in_force(outcomes),
        newest=tuple(outcomes[:newest]),
        refused=tuple(refused_versions(bucket)),
        not_inputs=others.count,
        first_not_inputs=tuple(others.first),
        unknown=_unknown(outcomes),
        unknown_untold=sum(one.status is Status.SCORED and one.unknown is None for one in outcomes),
        oldest_unanswered=waiting.oldest_first(),
    )


class _Others:
    """Counts what only looks like an input, and keeps the first of them."""

    def __init__(self, prefix: str, bucket_url: str) -> None:
        self._prefix, self._url = prefix, bucket_url
        self.count = 0
        self.first: list[NotInput] = []

    def see(self, name: str) -> None:
        if why := why_no_input(name, self._prefix, self._url):
            self._note(name, why)

    def left_out(self, name: str, why: str) -> None:
        if looks_like_input(name, self._prefix):
            self._note(name, why)

    def _note(self, name: str, why: str) -> None:
        self.count += 1
        if len(self.first) < FIRST:
            self.first.append(NotInput(name, why))


class _Oldest:
    """Counts files that wait, and keeps the FIRST that have waited longest."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, str, int, int]] = []  # the youngest of those kept in front
        self.count = 0

    def see(self, info: ObjectInfo) -> None:
        self.count += 1
        heapq.heappush(self._heap, (-info.created, info.name, info.generation, info.size))
        if len(self._heap) > FIRST:
            heapq.heappop(self._heap)

    def oldest_first(self) -> tuple[WaitingInput, ...]:
        """Oldest first."""
        kept = sorted(self._heap, reverse=True)
        return tuple(WaitingInput(name, generation, size, -since) for since, name, generation, size in kept)


class _Latest:
    """Lets a listing of receipts pass, counts it, and keeps the keys of the `limit` that were written last."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._heap: list[tuple[float, Key]] = []
        self.count = 0

    def noting(self, receipts: Iterable[ObjectInfo]) -> Iterator[ObjectInfo]:
        for receipt in receipts:
            if key := parse_key(receipt.name, RECEIPTS):
                self.count += 1
                heapq.heappush(self._heap, (receipt.created, key))
                if len(self._heap) > self._limit:
                    heapq.heappop(self._heap)
            yield receipt

    def newest_first(self) -> list[tuple[float, Key]]:
        """When each was written, and its key."""
        return sorted(self._heap, reverse=True)


def _unknown(outcomes: Iterable[Outcome]) -> dict[str, int]:
    """Rows with an unknown text by column, the column with the most first."""
    rows: Counter[str] = Counter()
    for outcome in outcomes:
        rows.update(outcome.unknown or {})
    return {column: count for column, count in rows.most_common() if count}


def _in_force(newest_first: Iterable[Outcome]) -> tuple[AliasesInForce, ...]:
    """The versions that scored these files, the one used last in front."""
    found: dict[tuple[str, str], AliasesInForce] = {}
    for outcome in newest_first:
        if outcome.model:
            model = outcome.model
            found.setdefault((model.name, model.version), AliasesInForce(model.name, model.version, outcome.finished))
    return tuple(found.values())
