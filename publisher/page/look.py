"""What the page shows, looked up in the bucket and the queue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from ledger.names import FAILURES, VERDICTS, Key, report_name
from ledger.receipt import Outcome
from ledger.records import Failure, read_failure
from ledger.verdict import MOST_BYTES, PostedVerdict
from publisher.status import Overview, WaitingInput, overview, read_if_readable
from transport.bucket import Bucket, ObjectInfo, ObjectNotFound, get
from transport.event import Generation
from transport.queue import Queue

NEWEST = 20  # receipts that are shown
MOST_VERDICTS = 5
MOST_REPORT_BYTES = 20_000_000


@dataclass(frozen=True)
class Posted:
    """A verdict that lies in the bucket, and when it was written, in seconds since 1970."""

    verdict: PostedVerdict
    written: float


@dataclass(frozen=True)
class Seen:
    """How things stood at one moment.

    `verdicts`: the newest in front; `failures`: name of a file that waits → its last failed attempt.
    """

    overview: Overview
    verdicts: tuple[Posted, ...] = ()
    failures: Mapping[str, Failure] = field(default_factory=dict)


class Looker:
    """Looks, and remembers what cannot change: a receipt, a generation of a verdict. One thread looks at a time."""

    def __init__(self, bucket: Bucket, queue: Queue, prefix: str) -> None:
        self._bucket, self._queue, self._prefix = bucket, queue, prefix
        self._receipts: dict[tuple[Key, float], Outcome | None] = {}
        self._verdicts: dict[tuple[str, int], PostedVerdict | None] = {}

    def look(self) -> Seen:
        """Six listings, and reads of what is new. Raises BucketError and QueueError."""
        known, self._receipts = self._receipts, {}

        def reading(bucket: Bucket, key: Key, written: float) -> Outcome | None:
            at = key, written
            self._receipts[at] = known[at] if at in known else read_if_readable(bucket, key, written)
            return self._receipts[at]

        seen = overview(self._bucket, self._queue, prefix=self._prefix, newest=NEWEST, read=NEWEST, reading=reading)
        return Seen(seen, self._posted(), self._failures(seen.oldest_unanswered) if seen.unanswered else {})

    def report(self, model: str) -> bytes | None:
        """The report behind a model's verdict; None where there is none, or a monstrous one. Raises BucketError."""
        info = self._bucket.stat(report_name(model))
        if info is None or info.size > MOST_REPORT_BYTES:
            return None
        with suppress(ObjectNotFound):
            return get(self._bucket, info.name, info.generation)
        return None

    def _posted(self) -> tuple[Posted, ...]:
        """The verdicts that can be read."""
        there = [info for info in self._bucket.objects(VERDICTS, recursive=False) if info.name.endswith(".json")]
        there = sorted(there, key=lambda info: -info.created)[:MOST_VERDICTS]
        known, self._verdicts = self._verdicts, {}
        found = []
        for info in there:
            at = info.name, info.generation
            verdict = self._verdicts[at] = known[at] if at in known else self._read(info)
            if verdict is not None:
                found.append(Posted(verdict, info.created))
        return tuple(found)

    def _failures(self, waiting: Sequence[WaitingInput]) -> dict[str, Failure]:
        """Why the last attempts at these files failed."""
        noted = {info.name for info in self._bucket.objects(FAILURES)}
        keys = [Key(one.name, Generation(one.generation)) for one in waiting]
        read = {key.name: read_failure(self._bucket, key) for key in keys if key.failure in noted}
        return {name: failure for name, failure in read.items() if failure is not None}

    def _read(self, info: ObjectInfo) -> PostedVerdict | None:
        if info.size > MOST_BYTES:
            return None
        with suppress(ObjectNotFound, ValueError):
            return PostedVerdict.from_json(get(self._bucket, info.name, info.generation))
        return None
