"""The inputs of a bucket: as they are listed, how each stands by its receipts, and the event that tells of one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from ledger.names import LABELS, OUTPUT, RECEIPTS, Key, parse_key
from transport.bucket import Bucket, LeftOut, ObjectInfo
from transport.event import Generation, ObjectEvent


def candidates(bucket: Bucket, prefix: str, *, deeper: bool, left_out: LeftOut) -> Iterator[ObjectInfo]:
    """What lies directly below the prefix, and `deeper` in folders there too, in the order of names' UTF-8 bytes.

    It takes a call per 1,000 objects, and one or two more: `output/` and `labels/` are passed by unread.
    `ledger.names.takes` says which of the objects are inputs. `left_out` as for `Bucket.objects`.
    """
    return bucket.objects(prefix, recursive=deeper, without=(OUTPUT, LABELS), left_out=left_out)


@dataclass(frozen=True)
class Standing:
    """An input, and the receipt of its present content; of several (it was re-scored) the newest."""

    input: ObjectInfo
    receipt: Key | None = None
    receipt_time: float = 0.0  # when that receipt was written, in seconds since 1970

    def with_receipt(self, key: Key, time: float) -> Standing:
        """This standing after one more receipt was seen; the same where that is of other content or older."""
        if key.generation.content != self.input.generation:
            return self
        if self.receipt is not None and self.receipt.generation >= key.generation:
            return self
        return replace(self, receipt=key, receipt_time=time)


def standings(inputs: Iterable[ObjectInfo], receipts: Iterable[ObjectInfo]) -> Iterator[Standing]:
    """How each input stands: two sorted listings streamed past each other. Pure.

    `inputs` and `receipts` are listings in the order of their names' UTF-8 bytes.

    Receipts (`<name>@<generation>.json`) do not sort like the names in them: those of `a.csv.gz` lie before those of
    `a.csv`. An input is therefore held from where its receipts may begin until the listing of receipts is past
    `<name>@:`, the first name behind all of them (':' follows '9'). Every name held is the beginning of the present
    receipt's name, so that no more names are held than that one has letters, even in very long listings.
    """
    held: dict[str, Standing] = {}
    waiting = iter(inputs)
    following = next(waiting, None)
    for receipt in receipts:
        key = parse_key(receipt.name, RECEIPTS)
        if key is None:
            continue
        place = _order(receipt.name[len(RECEIPTS) :])
        for name in [name for name in held if _end(name) <= place]:
            yield held.pop(name)
        while following is not None and _order(following.name) <= place:
            if _end(following.name) <= place:
                yield Standing(following)
            else:
                held[following.name] = Standing(following)
            following = next(waiting, None)
        if match := held.get(key.name):
            held[key.name] = match.with_receipt(key, receipt.created)
    yield from held.values()
    if following is not None:
        yield Standing(following)
    for left in waiting:
        yield Standing(left)


def _order(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def _end(name: str) -> bytes:
    """The first name behind all receipts of the input `name`."""
    return _order(name) + b"@:"


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
