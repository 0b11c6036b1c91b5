"""The objects that may be inputs, and from an input to the event that is published about it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from ledger.names import LABELS, OUTPUT
from transport.bucket import Bucket, LeftOut, ObjectInfo
from transport.event import Generation, ObjectEvent


def candidates(bucket: Bucket, prefix: str, *, deeper: bool, left_out: LeftOut) -> Iterator[ObjectInfo]:
    """What lies directly below the prefix, and `deeper` in folders there too, in the order of names' UTF-8 bytes.

    It takes a call per 1,000 objects, and one or two more: what is written, or is labels, is passed by unread.
    Whoever goes through them asks `ledger.names` which are inputs. `left_out` as for `Bucket.objects`.
    """
    return bucket.objects(prefix, recursive=deeper, without=(OUTPUT, LABELS), left_out=left_out)


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
