"""The port `Bucket`: named objects with generations, metadata and preconditions. Adapters: `folder`, `gcs`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol, TypeVar

ABSENT = 0  # as a precondition: there is no object of this name yet
READS = 3  # how often bytes are read at most that come damaged

Result = TypeVar("Result")

LeftOut = Callable[[str, str], object]
"""Called with a name that is no object, and the reason. Bytes that are no text are written out, like `\\xf6`."""


class BucketError(Exception):
    """The bucket could not do it, and trying again may help; its text says what to do."""


class AccessRefused(BucketError):
    """The bucket is missing or may not be used so; trying again will not help. Names the bucket and what is missing."""


class NoSpace(BucketError):
    """There is no room for this object; there may be room for a smaller one."""


class NameTooLong(BucketError):
    """No object of this bucket can have such a name; trying again will not help."""


class ObjectNotFound(BucketError):
    """There is no such object, or no longer this generation of it."""


class DamagedRead(BucketError):
    """The bytes that came are not the stored ones, and none of them counts. Read them again."""


class PreconditionFailed(BucketError):
    """The object is not of the generation that the write was conditional on; nothing was written."""


@dataclass(frozen=True)
class ObjectInfo:
    """What is known of one generation of an object. `size` in bytes; `created` in seconds since 1970, UTC."""

    name: str
    generation: int
    size: int
    created: float
    metadata: Mapping[str, str] = field(default_factory=dict)
    md5: str | None = None  # hexadecimal, where the bucket knows it
    crc32c: str | None = None  # base64 as Cloud Storage writes it, where the bucket knows it


class ObjectWriter(Protocol):
    """An object being written: visible, whole, once its `with` block ends without an exception; else never."""

    def write(self, data: bytes, /) -> int:
        """Appends all of `data`."""

    @property
    def info(self) -> ObjectInfo:
        """The object as it was committed. Only after the `with` block."""


class Bucket(Protocol):
    """Objects by name. Any method may raise AccessRefused, or BucketError where trying again may help."""

    @property
    def name(self) -> str:
        """What events call this bucket (`bucketId`)."""

    @property
    def url(self) -> str:
        """The URL that opens this bucket again in another process, with `transport.open.open_bucket`."""

    @property
    def checks_reads(self) -> bool:
        """True where the bucket has checksums: damaged bytes raise DamagedRead at the end of their stream."""

    def objects(
        self,
        prefix: str = "",
        *,
        start: str = "",
        recursive: bool = True,
        without: Sequence[str] = (),
        left_out: LeftOut | None = None,
    ) -> Iterator[ObjectInfo]:
        """Objects whose name begins with `prefix` and is not below `start`, in the order of their names' UTF-8 bytes.

        Not `recursive`: only those with no further `/` behind the prefix. `without`: folders at the root, like
        `output/`, that are passed by unread. `left_out` is called with each name that can be no object (a link in a
        folder, a name that is no text), and why. `metadata` and checksums may be left empty. Objects that come or go
        meanwhile may be missing or present; every other object appears exactly once.
        """

    def stat(self, name: str) -> ObjectInfo | None:
        """The newest generation of an object with its metadata, or None where there is none."""

    def read(self, name: str, generation: int | None = None) -> AbstractContextManager[BinaryIO]:
        """A stream of one generation's bytes (the newest, where none is given), for use in a `with` block.

        Raises ObjectNotFound where that generation is gone, also in the middle of reading: bytes that were returned
        always belong to the generation asked for, and the end of the stream is the end of the object.
        """

    def write(
        self,
        name: str,
        *,
        if_generation: int | None = None,
        metadata: Mapping[str, str] | None = None,
        content_type: str = "application/octet-stream",
    ) -> AbstractContextManager[ObjectWriter]:
        """Writes an object of any size, all or nothing, with its metadata in the same step.

        `if_generation`: only if that is the object's generation at the moment it becomes visible (ABSENT: only if
        there is none), else PreconditionFailed; of several writers with one precondition exactly one succeeds.
        `metadata` is read when the object is committed: what is known only at its end may be filled in until then.
        An exception inside the block leaves no trace. The new generation differs from every earlier one of this name.
        """

    def copy(
        self,
        source: str,
        source_generation: int,
        target: str,
        *,
        if_generation: int | None = None,
        metadata: Mapping[str, str] | None = None,
        content_type: str = "application/octet-stream",
    ) -> ObjectInfo:
        """Writes `target` with the bytes of one generation of `source`; otherwise like `write`.

        Raises ObjectNotFound where that generation of `source` is gone.
        """

    def delete(self, name: str, *, if_generation: int | None = None) -> bool:
        """Removes an object; False where there was none. PreconditionFailed as for `write`."""

    def sweep(self) -> int:
        """Removes what killed writers left behind (never what a living one is writing); says how many."""

    def verify(self) -> None:
        """Uses the bucket once in each way a program needs it. Raises AccessRefused saying what is missing."""

    def close(self) -> None:
        """Gives connections back. The bucket may not be used afterwards."""


def put(
    bucket: Bucket,
    name: str,
    data: bytes,
    *,
    if_generation: int | None = None,
    metadata: Mapping[str, str] | None = None,
    content_type: str = "application/octet-stream",
) -> ObjectInfo:
    """Writes a small object whole. Errors as for `Bucket.write`."""
    with bucket.write(name, if_generation=if_generation, metadata=metadata, content_type=content_type) as writer:
        writer.write(data)
    return writer.info


def get(bucket: Bucket, name: str, generation: int | None = None) -> bytes:
    """All bytes of a small object. Raises ObjectNotFound."""

    def read() -> bytes:
        with bucket.read(name, generation) as stream:
            return stream.read()

    return read_again_where_damaged(read)


def read_again_where_damaged(read: Callable[[], Result]) -> Result:
    """What `read` gives; it is called READS times at most while it raises DamagedRead."""
    for left in reversed(range(READS)):
        try:
            return read()
        except DamagedRead:
            if not left:
                raise
    raise AssertionError("READS is at least 1")
