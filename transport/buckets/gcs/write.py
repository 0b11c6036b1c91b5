"""Writing an object: what fits one request in one request, anything larger as a resumable upload."""

from __future__ import annotations

import base64
import errno
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile, gettempdir
from typing import IO, Any

import google_crc32c
from google.api_core.exceptions import GoogleAPICallError, NotFound
from google.api_core.exceptions import PreconditionFailed as ConditionNotMet
from google.auth.exceptions import GoogleAuthError
from google.cloud.storage.exceptions import DataCorruption

from transport.bucket import BucketError, NoSpace, ObjectInfo
from transport.buckets.gcs.api import WRITE_ID, Api, object_info
from transport.buckets.gcs.faults import is_transient

ONE_REQUEST = 8 * 1024 * 1024  # bytes; also the size of a resumable upload's parts (a multiple of 256 KiB)
_MAX_METADATA = 8 * 1024  # bytes, keys and values together: Cloud Storage's limit


@dataclass(frozen=True)
class Target:
    """What is to stand under a name, and on which condition."""

    name: str
    if_generation: int | None
    metadata: Mapping[str, str]
    content_type: str

    @classmethod
    def of(cls, name: str, if_generation: int | None, metadata: Mapping[str, str] | None, content_type: str) -> Target:
        """With an id of this write in the metadata. Raises BucketError where there is too much of it."""
        marked = {**(metadata or {}), WRITE_ID: uuid.uuid4().hex}
        size = sum(len(key.encode()) + len(value.encode()) for key, value in marked.items())
        if size > _MAX_METADATA:
            raise BucketError(
                f"the metadata for {name!r} has {size} bytes; Cloud Storage takes {_MAX_METADATA}, keys included"
            )
        return cls(name, if_generation, marked, content_type)

    def blob(self, api: Api) -> Any:
        """The library's blob, ready to be written."""
        blob = api.bucket.blob(self.name, chunk_size=ONE_REQUEST)
        blob.metadata, blob.content_type = dict(self.metadata), self.content_type
        return blob

    def written(self, api: Api, checksum: str | None = None) -> ObjectInfo | None:
        """The object if it is the one that this very write made: then only the answer was lost.

        Where its CRC32C is not `checksum`, the object is deleted, and DataCorruption raised.
        """
        try:
            blob = api.stat(self.name)
        except NotFound:
            return None
        if (blob.metadata or {}).get(WRITE_ID) != self.metadata[WRITE_ID]:
            return None
        if checksum is not None and blob.crc32c != checksum:
            blob.delete(if_generation_match=blob.generation, timeout=api.timeout, retry=None)
            raise DataCorruption(None, f"the bytes of {self.name!r} did not arrive as they were sent")
        return object_info(blob)


def upload(api: Api, target: Target, content: IO[bytes], size: int) -> ObjectInfo:
    """Writes `size` bytes from the start of `content`, checksum included: up to ONE_REQUEST in one request.

    Anything larger goes up in parts, and becomes visible with the last of them. Where the answer to a write was lost,
    it is recognised by its id. Without a precondition a repeated try may replace what another wrote meanwhile: the
    last writer stands.
    """
    in_parts = size > ONE_REQUEST
    # The server ignores bytes of a part that it has already; after damaged bytes the upload has to start over.
    part_by_part = api.retry().with_predicate(
        lambda error: is_transient(error) and not isinstance(error, DataCorruption)
    )

    def attempt(again: bool) -> ObjectInfo:
        blob = target.blob(api)
        try:
            blob.upload_from_file(
                content,
                rewind=True,
                size=size,
                content_type=target.content_type,
                if_generation_match=target.if_generation,
                checksum="crc32c",
                timeout=api.timeout,
                retry=part_by_part if in_parts else None,
            )
        except ConditionNotMet:
            if (again or in_parts) and (ours := target.written(api, _checksum(content))):
                return ours
            raise
        except GoogleAPICallError as error:
            if error.code not in (404, 410):
                raise
            if not _is_of_a_part(error):
                raise (api.no_bucket() if error.code == 404 else error) from None
            if ours := target.written(api):
                return ours
            raise ConnectionError("the unfinished upload was forgotten; it has to start over") from error
        except GoogleAuthError:
            raise  # some of them are ValueErrors, too
        except ValueError as error:  # the library does not take up a part of which only some bytes were kept
            raise ConnectionError(f"the upload has to start over: {error}") from error
        return object_info(blob)

    return api.call(f"write {target.name!r}", attempt)


def _checksum(content: IO[bytes]) -> str:
    """Base64 of the CRC32C, as Cloud Storage writes it."""
    content.seek(0)
    checksum = google_crc32c.Checksum()
    while chunk := content.read(1024 * 1024):
        checksum.update(chunk)
    return base64.b64encode(checksum.digest()).decode()


def _is_of_a_part(error: GoogleAPICallError) -> bool:
    return error.response is not None and error.response.request.method == "PUT"


class GcsWriter:
    """An object being written. It waits for the end of its block, in memory up to ONE_REQUEST bytes, else in a file.

    Nothing is sent before: only at the end is the metadata known, and a writer that fails leaves nothing to clear away.
    The temporary file lies where `tempfile` puts it (TMPDIR) and is gone with its process.
    """

    def __init__(
        self,
        api: Api,
        name: str,
        if_generation: int | None,
        metadata: Mapping[str, str] | None,
        content_type: str,
    ) -> None:
        self._api, self._name, self._if_generation = api, name, if_generation
        self._metadata = {} if metadata is None else metadata  # not copied: it is read when the object is committed
        self._content_type = content_type
        self._info: ObjectInfo | None = None

    def __enter__(self) -> GcsWriter:
        self._content = SpooledTemporaryFile(max_size=ONE_REQUEST)
        return self

    def write(self, data: bytes, /) -> int:
        try:
            return self._content.write(data)
        except OSError as error:
            fault = NoSpace if error.errno in (errno.ENOSPC, errno.EDQUOT) else BucketError
            raise fault(
                f"cannot keep {self._name!r} in {gettempdir()!r} until it is complete: {error.strerror}; "
                "free some space there, or set TMPDIR"
            ) from error

    @property
    def info(self) -> ObjectInfo:
        if self._info is None:
            raise ValueError(f"{self._name!r} is not committed: its `with` block has not ended, or failed")
        return self._info

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        with self._content as content:
            if kind is None:
                target = Target.of(self._name, self._if_generation, self._metadata, self._content_type)
                self._info = upload(self._api, target, content, content.tell())
