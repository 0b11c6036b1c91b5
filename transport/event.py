"""One new object, as the message that Cloud Storage itself would send about it.

Every source (a bucket notification, the poller, the folder watch, a re-scoring) publishes this same shape, so that a
worker cannot tell them apart and does not need to.
Attributes and payload: https://cloud.google.com/storage/docs/pubsub-notifications#format
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NotRequired

from typing_extensions import TypedDict  # pydantic takes no other before Python 3.12

MAX_NAME_BYTES = 1024  # of any object on Cloud Storage; an input's name is shorter (ledger/names.py)
MAX_GENERATION = 2**63 - 1
BY_NOTIFICATION = "gcs"  # the source of events that the bucket itself sends
PARQUET = "application/vnd.apache.parquet"
NOTHING: Mapping[str, str] = {}


class ObjectAttributes(TypedDict):
    """A message's attributes; `source` where the bucket did not send it, `rescore` where it is one."""

    eventType: str
    payloadFormat: str
    bucketId: str
    objectId: str
    objectGeneration: str
    eventTime: str
    source: NotRequired[str]
    rescore: NotRequired[str]
    traceparent: NotRequired[str]


class ObjectResource(TypedDict):
    """A message's data, as JSON; a part of what Cloud Storage says of an object."""

    kind: str
    name: str
    bucket: str
    generation: str
    timeCreated: str
    contentType: str
    size: NotRequired[str]


class UnusableMessage(Exception):
    """This message names no object that could be scored; its text says why."""


@dataclass(frozen=True, order=True)
class Generation:
    """Which content of a name, and the number of its re-scoring (0: the first scoring); ordered as a pair."""

    content: int
    rescore: int = 0

    def __str__(self) -> str:
        return f"{self.content}.{self.rescore}" if self.rescore else str(self.content)

    @classmethod
    def parse(cls, text: str) -> Generation:
        """The generation that `str()` wrote. Raises ValueError for anything else."""
        content, dot, rescore = text.partition(".")
        parsed = cls(_whole_number(content), _whole_number(rescore) if dot else 0)
        if str(parsed) != text:
            raise ValueError(f"not a generation: {text[:40]!r}")
        return parsed


@dataclass(frozen=True)
class Message:
    """What a queue carries: bytes and string attributes."""

    data: bytes
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ObjectEvent:
    """A new generation of an object.

    `event_time` is RFC 3339 text; `size` is in bytes and the checksums are base64, all None where they are not known.
    """

    bucket: str
    name: str
    generation: Generation
    event_time: str = ""
    size: int | None = None
    source: str = BY_NOTIFICATION
    md5: str | None = None
    crc32c: str | None = None

    def to_message(self, carried: Mapping[str, str] = NOTHING) -> Message:
        """The message about this event; `from_message` gives the event back. `carried`: further attributes of it."""
        resource: ObjectResource = {
            "kind": "storage#object",
            "name": self.name,
            "bucket": self.bucket,
            "generation": str(self.generation.content),
            "timeCreated": self.event_time,
            "contentType": PARQUET if self.name.lower().endswith(".parquet") else "text/csv",
        }
        if self.size is not None:
            resource["size"] = str(self.size)
        attributes: ObjectAttributes = {
            "eventType": "OBJECT_FINALIZE",
            "payloadFormat": "JSON_API_V1",
            "bucketId": self.bucket,
            "objectId": self.name,
            "objectGeneration": str(self.generation.content),
            "eventTime": self.event_time,
        }
        if self.source != BY_NOTIFICATION:
            attributes["source"] = self.source
        if self.generation.rescore:
            attributes["rescore"] = str(self.generation.rescore)
        return Message(json.dumps(resource).encode(), {**carried, **_texts(attributes)})

    @classmethod
    def from_message(cls, message: Message) -> ObjectEvent:
        """The event that a message tells of. Raises UnusableMessage, with the reason, for any other message.

        The attributes decide; of the payload only size and checksums are taken, and one that cannot be read is no
        error (`payloadFormat=NONE` has none).
        """
        attributes = message.attributes
        kind = attributes.get("eventType", "")
        if kind != "OBJECT_FINALIZE":
            raise UnusableMessage(f"eventType is {kind[:80]!r}, not 'OBJECT_FINALIZE'")
        bucket, name = attributes.get("bucketId", ""), attributes.get("objectId", "")
        if not bucket:
            raise UnusableMessage("the attribute bucketId is missing")
        refuse_bad_name(name)
        try:
            generation = Generation(
                _whole_number(attributes.get("objectGeneration", "")),
                _whole_number(attributes.get("rescore", "0")),
            )
        except ValueError as error:
            raise UnusableMessage(f"objectGeneration or rescore is {error}") from None
        size, md5, crc32c = _described_in(message.data)
        return cls(
            bucket=bucket,
            name=name,
            generation=generation,
            event_time=attributes.get("eventTime", "")[:40],
            size=size,
            source=attributes.get("source", BY_NOTIFICATION)[:20],
            md5=md5,
            crc32c=crc32c,
        )


def refuse_bad_name(name: str) -> None:
    """Raises UnusableMessage where `name` could not be, or must not be, the name of an object."""
    if not name:
        raise UnusableMessage("the attribute objectId is missing")
    if why := why_bad_name(name):
        raise UnusableMessage(f"objectId {name[:80]!r} {why}")


def why_bad_name(name: str) -> str | None:
    """Why `name` cannot, or must not, be the name of an object, as in "it …"; None where it may be."""
    try:
        encoded = name.encode()
    except UnicodeEncodeError:
        return "is not valid Unicode"
    if len(encoded) > MAX_NAME_BYTES:
        return f"has {len(encoded)} bytes, more than {MAX_NAME_BYTES}"
    if any(part in ("", ".", "..") for part in name.split("/")):
        return "is not a plain path: it has an empty part, '.' or '..'"
    if any(unicodedata.category(letter) in ("Cc", "Zl", "Zp") for letter in name):
        return "has a control character, or an end of line"
    return None


def _texts(attributes: ObjectAttributes) -> dict[str, str]:
    return {name: str(value) for name, value in attributes.items()}


def _whole_number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 19) or int(text) > MAX_GENERATION:
        raise ValueError(f"not a whole number: {text[:40]!r}")
    return int(text)


def _described_in(payload: bytes) -> tuple[int | None, str | None, str | None]:
    """Size, MD5 and CRC32C as the payload has them."""
    try:
        resource = json.loads(payload)
    except (ValueError, RecursionError):
        return None, None, None
    if not isinstance(resource, dict):
        return None, None, None
    size, md5, crc32c = (str(resource[key]) if key in resource else None for key in ("size", "md5Hash", "crc32c"))
    try:
        length = None if size is None else _whole_number(size)
    except ValueError:
        length = None
    return length, md5 and md5[:40], crc32c and crc32c[:40]
