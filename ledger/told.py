"""What receivers are told of and no receipt speaks for: on record, so that of several programs one tells it, once."""

from __future__ import annotations

import json
from typing import NamedTuple

from ledger.names import TOLD
from transport.bucket import ABSENT, Bucket, ObjectNotFound, PreconditionFailed, get, put

SILENCE = f"{TOLD}silence.json"


class NotedMove(NamedTuple):
    """`before`: the version until now, None for none; `number`: of this move among all of its alias."""

    before: str | None
    number: str


def note_version(bucket: Bucket, alias: str, model: str, version: str | None) -> NotedMove | None:
    """Notes which version is in force for an alias; gives the move where this call is the first to note it.

    None where it is on record already, or where nothing was on record to move from. Raises BucketError.
    """
    name = f"{TOLD}{alias}.json"
    while True:
        standing = bucket.stat(name)
        known = _read(bucket, name, standing.generation) if standing else None
        if known == [model, version]:
            return None
        try:
            written = put(
                bucket,
                name,
                json.dumps([model, version]).encode(),
                if_generation=standing.generation if standing else ABSENT,
                content_type="application/json",
            )
        except PreconditionFailed:
            continue  # another worker was quicker
        return NotedMove(known[1], str(written.generation)) if known and known[0] == model else None


def _read(bucket: Bucket, name: str, generation: int) -> list[str | None] | None:
    """Model and version, as they are on record."""
    try:
        model, version = json.loads(get(bucket, name, generation))
    except (ObjectNotFound, ValueError, TypeError):
        return None
    return [str(model), None if version is None else str(version)]


def begin_silence(bucket: Bucket) -> str | None:
    """Notes that no worker shows itself; gives this silence's number, None where it is on record already."""
    try:
        return str(put(bucket, SILENCE, b"", if_generation=ABSENT).generation)
    except PreconditionFailed:
        return None


def end_silence(bucket: Bucket) -> bool:
    """Notes that a worker has shown itself; False where no silence was on record."""
    return bucket.delete(SILENCE)
