"""What is put on record beside the receipts: failed attempts, versions refused, messages that name nothing to score."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from ledger.names import REFUSED, UNUSABLE, Key
from transport.bucket import ABSENT, Bucket, ObjectNotFound, PreconditionFailed, get, put
from transport.event import Message

MAX_TEXT = 1_000
MAX_ATTRIBUTES = 50


@dataclass(frozen=True)
class Failure:
    """Why the last attempt at a file failed; what its receipt says should it be dead-lettered."""

    attempt: int
    error: str
    worker: str
    time: str


def record_failure(bucket: Bucket, key: Key, failure: Failure) -> None:
    """Writes the note of a failed attempt, in place of an earlier one."""
    put(bucket, key.failure, json.dumps(asdict(failure)).encode(), content_type="application/json")


def read_failure(bucket: Bucket, key: Key) -> Failure | None:
    """The note of the last failed attempt, or None where there is none that can be read."""
    try:
        return Failure(**json.loads(get(bucket, key.failure)))
    except (ObjectNotFound, ValueError, TypeError):
        return None


@dataclass(frozen=True)
class RefusedVersion:
    """A version that `alias` names and that must not serve, as one worker found it."""

    alias: str
    model: str
    version: str
    reason: str
    worker: str
    time: str


def record_refused(bucket: Bucket, refused: RefusedVersion) -> str | None:
    """Writes the note of a refused version, in place of one of another version that its alias named earlier.

    Gives the note's number where this call wrote it; None where a worker has noted this version already.
    """
    name, content = f"{REFUSED}{refused.alias}.json", json.dumps(asdict(refused)).encode()
    while True:
        standing = bucket.stat(name)
        if standing and _is_of(refused, bucket, name):
            return None
        looked_at = standing.generation if standing else ABSENT
        with suppress(PreconditionFailed):  # another worker was quicker: look again
            written = put(bucket, name, content, if_generation=looked_at, content_type="application/json")
            return str(written.generation)


def _is_of(refused: RefusedVersion, bucket: Bucket, name: str) -> bool:
    with suppress(ObjectNotFound, ValueError, TypeError):
        known = RefusedVersion(**json.loads(get(bucket, name)))
        return (known.model, known.version) == (refused.model, refused.version)
    return False


def forget_refused(bucket: Bucket, alias: str) -> bool:
    """Removes the note of an alias, because its version serves now; False where there was none."""
    return bucket.delete(f"{REFUSED}{alias}.json")


def refused_versions(bucket: Bucket) -> list[RefusedVersion]:
    """Every note of a refused version that can be read."""
    found = []
    for note in bucket.objects(REFUSED):
        with suppress(ObjectNotFound, ValueError, TypeError):
            found.append(RefusedVersion(**json.loads(get(bucket, note.name))))
    return found


def record_unusable(bucket: Bucket, message_id: str, message: Message, reason: str) -> str:
    """Puts a message that names no object to score on record, once; gives the name of the record."""
    safe = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in message_id)[:200] or "unnamed"
    name = f"{UNUSABLE}{safe}.json"
    # Two messages may have one id: a queue that was made again counts from 1 again, and dead letters have numbers of
    # their own. The digest tells them apart.
    digest = hashlib.sha256(repr((message.data, sorted(message.attributes.items()))).encode()).hexdigest()
    record = {
        "sha256": digest,
        "reason": reason[:MAX_TEXT],
        "message_id": message_id[:MAX_TEXT],
        "recorded": datetime.now(UTC).isoformat(timespec="seconds"),
        "payload_bytes": len(message.data),
        "attributes": {
            str(key)[:100]: str(value)[:MAX_TEXT] for key, value in sorted(message.attributes.items())[:MAX_ATTRIBUTES]
        },
    }
    content = json.dumps(record, indent=1).encode()
    try:
        put(bucket, name, content, if_generation=ABSENT, content_type="application/json")
    except PreconditionFailed:
        if digest.encode() not in get(bucket, name):
            name = f"{UNUSABLE}{safe}-{digest[:12]}.json"
            put(bucket, name, content, content_type="application/json")
    return name
