"""From an object to the event that is published about it. Pure: objects in, events out."""

from __future__ import annotations

from datetime import UTC, datetime

from ledger.names import Key
from transport.bucket import ObjectInfo
from transport.event import MAX_GENERATION, MAX_NAME_BYTES, Generation, ObjectEvent, UnusableMessage, refuse_bad_name

_MAX_PART_IN_FOLDER = 255  # bytes between two slashes, on every file system in use
_LONGEST = Generation(MAX_GENERATION, 999)


def refuse_unfit_name(name: str, bucket_url: str) -> None:
    """Raises UnusableMessage where no event, or no receipt, could carry the input's name."""
    refuse_bad_name(name)
    receipt = Key(name, _LONGEST).receipt
    in_folder = "://" not in bucket_url
    longest = max(len(part.encode()) for part in receipt.split("/")) if in_folder else len(receipt.encode())
    limit = _MAX_PART_IN_FOLDER if in_folder else MAX_NAME_BYTES
    if longest > limit:
        raise UnusableMessage(f"the name {name[:60]!r}… is {longest - limit} bytes too long for its receipt's name")


def event_of(info: ObjectInfo, bucket: str, source: str, rescore: int = 0) -> ObjectEvent:
    """The event about this generation of an input, as if the bucket itself had sent it."""
    return ObjectEvent(
        bucket=bucket,
        name=info.name,
        generation=Generation(info.generation, rescore),
        event_time=rfc3339(info.created),
        size=info.size,
        source=source,
    )


def rfc3339(seconds: float) -> str:
    """A time in seconds since 1970 as RFC 3339 text in UTC, to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
