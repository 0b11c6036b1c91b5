"""Whether an object is an input of this bucket; where it only looks like one, why it is none."""

from __future__ import annotations

from ledger.names import INPUT_ENDINGS, LABELS, OUTPUT, UNFINISHED_ENDINGS, is_input
from ledger.naming.length import why_too_long
from transport.bucket import Bucket
from transport.event import Message, ObjectEvent, UnusableMessage, why_bad_name

_OTHER_TABLES = (".tsv", ".xls", ".xlsx", ".ods", ".parquet", ".feather")


def event_of(message: Message, bucket: Bucket) -> ObjectEvent:
    """What a message about this bucket tells. Raises UnusableMessage for any other."""
    event = ObjectEvent.from_message(message)
    if event.bucket != bucket.name:
        raise UnusableMessage(f"it is about the bucket {event.bucket[:80]!r}, and this one is {bucket.name!r}")
    return event


def takes(name: str, prefix: str, bucket_url: str) -> bool:
    """True for an object that is to be scored: it is named like an input, and receipts can carry its name."""
    return is_input(name, prefix) and _why_unfit(name, bucket_url) is None


def why_no_input(name: str, prefix: str, bucket_url: str) -> str | None:
    """Why an object that looks like an input is none; None where it is one, or does not look like one."""
    if is_input(name, prefix):
        return _why_unfit(name, bucket_url)
    if not looks_like_input(name, prefix):
        return None
    base = name.rpartition("/")[2]
    if not base.lower().endswith(INPUT_ENDINGS):
        return "its name ends neither in .csv nor in .csv.gz"
    if not name.startswith(prefix):
        return f"it lies outside the prefix {prefix!r}"
    return f"it lies in a folder of its own; inputs lie directly below {prefix or 'the root of the bucket'}"


def looks_like_input(name: str, prefix: str) -> bool:
    """True where a person may have meant this object to be scored: a table; not hidden, unfinished, or ours."""
    below = name.removeprefix(prefix)
    lowered = below.rpartition("/")[2].lower()
    if name.startswith((OUTPUT, LABELS)) or any(part.startswith(".") for part in below.split("/")):
        return False
    return (".csv" in lowered or lowered.endswith(_OTHER_TABLES)) and not lowered.endswith(UNFINISHED_ENDINGS)


def _why_unfit(name: str, bucket_url: str) -> str | None:
    why = why_bad_name(name)
    return f"its name {why}" if why else why_too_long(name, bucket_url)
