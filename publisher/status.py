"""How a bucket and its queue stand: what waits, what is being scored, what ended how. Data only; `show` prints it."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ledger.commit import read_receipt
from ledger.names import CLAIMS, RECEIPTS, Key, is_input, parse_key
from ledger.notes import RefusedVersion, refused_versions
from ledger.receipt import Outcome, Status
from publisher.reconcile import standings
from transport.bucket import Bucket, ObjectInfo
from transport.queue import Backlog, Queue

UNREADABLE = "unreadable"  # counted beside the statuses: a receipt of foreign make


@dataclass(frozen=True)
class InForce:
    """A model version that scored one of the newest files, and when it last did so (RFC 3339)."""

    name: str
    version: str
    last_used: str


@dataclass(frozen=True)
class Overview:
    """Numbers of files are exact; what ended how is counted in the newest `looked_at` receipts alone.

    `unanswered`: inputs without a receipt of their present content; `claimed`: scored, with the receipt still to come;
    `receipts`: all there are, those of earlier contents and of re-scorings included. `by_status`, `models` and
    `newest` (newest first) come from the receipts that were looked at; `refused`: versions that aliases name in vain.
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
    models: tuple[InForce, ...] = ()
    newest: tuple[Outcome, ...] = ()
    refused: tuple[RefusedVersion, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As plain data, for JSON."""
        return asdict(self)


def overview(bucket: Bucket, queue: Queue, *, prefix: str = "", newest: int = 20, read: int = 1000) -> Overview:
    """Looks at everything once: four listings, and the newest `read` receipts. Raises BucketError and QueueError."""
    latest = _Latest(max(read, newest))
    inputs = unanswered = 0
    for standing in standings(
        (info for info in bucket.objects(prefix, recursive=False) if is_input(info.name, prefix)),
        latest.noting(bucket.objects(RECEIPTS + prefix, recursive=False)),
    ):
        inputs += 1
        unanswered += standing.receipt is None
    by_status: Counter[str] = Counter()
    outcomes = []
    for key in latest.newest_first():
        outcome = _read(bucket, key)
        by_status[outcome.status.value if outcome else UNREADABLE] += 1
        if outcome:
            outcomes.append(outcome)
    return Overview(
        bucket=bucket.url,
        queue=queue.url,
        backlog=queue.backlog(),
        inputs=inputs,
        unanswered=unanswered,
        claimed=sum(1 for claim in bucket.objects(CLAIMS) if parse_key(claim.name, CLAIMS)),
        receipts=latest.count,
        looked_at=sum(by_status.values()),
        by_status={name: by_status[name] for name in (*Status, UNREADABLE) if by_status[name]},
        models=_in_force(outcomes),
        newest=tuple(outcomes[:newest]),
        refused=tuple(refused_versions(bucket)),
    )


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

    def newest_first(self) -> list[Key]:
        """Newest first."""
        return [key for _, key in sorted(self._heap, reverse=True)]


def _read(bucket: Bucket, key: Key) -> Outcome | None:
    try:
        return read_receipt(bucket, key)
    except ValueError:
        return None


def _in_force(newest_first: Iterable[Outcome]) -> tuple[InForce, ...]:
    """The versions that scored these files, the one used last in front."""
    found: dict[tuple[str, str], InForce] = {}
    for outcome in newest_first:
        if outcome.model:
            model = outcome.model
            found.setdefault((model.name, model.version), InForce(model.name, model.version, outcome.finished))
    return tuple(found.values())
