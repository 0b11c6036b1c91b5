"""What was dead-lettered, and why: read from the receipts, and from the records of messages that named no input."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace

from ledger.commit import read_receipt
from ledger.names import RECEIPTS, UNUSABLE, Key, parse_key
from ledger.receipt import Status
from transport.bucket import Bucket, get
from transport.event import Generation


@dataclass(frozen=True)
class DeadLettered:
    """A file whose attempts have all failed. `since`: how its next re-scoring ended, if there was one."""

    file: str
    generation: str
    attempts: int
    error: str
    finished: str
    worker: str = ""
    since: str = ""


@dataclass(frozen=True)
class UnusableRecord:
    """A dead message that named no input of this bucket, as it was put on record."""

    id: str
    reason: str
    recorded: str
    record: str


def dead_lettered(bucket: Bucket, prefix: str = "") -> Iterator[DeadLettered]:
    """Every receipt that says dead-lettered, in the order of names. Reads all receipts. Raises BucketError."""
    for receipt in bucket.objects(RECEIPTS + prefix, recursive=False):
        key = parse_key(receipt.name, RECEIPTS)
        found = _dead_lettered(bucket, key) if key else None
        if key and found:
            yield replace(found, since=_next_status(bucket, key))


def unusable_records(bucket: Bucket) -> Iterator[UnusableRecord]:
    """Every dead message that named no input. Raises BucketError."""
    for info in bucket.objects(UNUSABLE):
        try:
            record = json.loads(get(bucket, info.name))
            yield UnusableRecord(str(record["message_id"]), str(record["reason"]), str(record["recorded"]), info.name)
        except (ValueError, KeyError, TypeError):
            yield UnusableRecord("", "this record cannot be read", "", info.name)


def _dead_lettered(bucket: Bucket, key: Key) -> DeadLettered | None:
    try:
        outcome = read_receipt(bucket, key)
    except ValueError:
        return None
    if outcome is None or outcome.status is not Status.DEAD_LETTERED:
        return None
    error = outcome.errors[0].message if outcome.errors else ""
    return DeadLettered(key.name, str(key.generation), outcome.attempt, error, outcome.finished, outcome.worker)


def _next_status(bucket: Bucket, key: Key) -> str:
    again = Key(key.name, Generation(key.generation.content, key.generation.rescore + 1))
    try:
        outcome = read_receipt(bucket, again)
    except ValueError:
        return ""
    return outcome.status.value if outcome else ""
