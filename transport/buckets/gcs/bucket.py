"""The adapter `GcsBucket`: a bucket of Google Cloud Storage.

IAM: `roles/storage.objectUser` on the bucket is all that a program needs (get, list, create, delete; replacing an
object takes the permission to delete). A program that only reads gets along with `roles/storage.objectViewer`.
With STORAGE_EMULATOR_HOST set, the client library talks to that emulator, without credentials.
"""

from __future__ import annotations

import io
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import BinaryIO, cast

from google.api_core.exceptions import NotFound
from google.api_core.exceptions import PreconditionFailed as ConditionNotMet

from transport.bucket import ABSENT, AccessRefused, LeftOut, ObjectInfo, get, put, read_again_where_damaged
from transport.buckets.gcs.api import Api, object_info
from transport.buckets.gcs.faults import FAULTS, explain, says_bucket_is_missing
from transport.buckets.gcs.read import CHUNK, PinnedStream
from transport.buckets.gcs.write import ONE_REQUEST, GcsWriter, Target, upload
from transport.event import UnusableMessage, refuse_bad_name

_PROBE = "output/.verify-"
_PROBE_SECONDS = 300.0  # after which no living program needs its own
_PAGE = 1000  # the most that Cloud Storage gives at a time
_LISTED = "items(name,generation,size,timeCreated,md5Hash,crc32c),nextPageToken"


class GcsBucket:
    """The objects of `gs://name`. Each call of a small object is one request; transient faults are survived.

    `timeout`: seconds to connect, and seconds without a byte; `patience`: seconds of trying in all, per call.
    """

    def __init__(self, url: str, *, timeout: tuple[float, float] = (10.0, 30.0), patience: float = 90.0) -> None:
        self._name = url.removeprefix("gs://").rstrip("/")
        if not url.startswith("gs://") or not self._name or "/" in self._name:
            raise AccessRefused(f"{url!r} names no bucket: write gs://name, without a path behind it")
        self._api = Api(self._name, timeout, patience)

    @property
    def name(self) -> str:
        return self._name

    @property
    def url(self) -> str:
        return f"gs://{self._name}"

    @property
    def checks_reads(self) -> bool:
        return True

    def objects(
        self,
        prefix: str = "",
        *,
        start: str = "",
        recursive: bool = True,
        without: Sequence[str] = (),
        left_out: LeftOut | None = None,
    ) -> Iterator[ObjectInfo]:
        try:
            # Not recursive, the answer has no folder's content anyway.
            for first, end in stretches(prefix, start, without if recursive else ()):
                for blob in self._api.client.list_blobs(
                    self._name,
                    prefix=prefix or None,
                    start_offset=first or None,
                    end_offset=end,
                    delimiter=None if recursive else "/",
                    fields=_LISTED,
                    page_size=_PAGE,
                    timeout=self._api.timeout,
                    retry=self._api.retry(),
                ):
                    yield object_info(blob)
        except NotFound:
            raise self._api.no_bucket() from None
        except FAULTS as error:
            raise explain(error, self._name, "list") from error

    def stat(self, name: str) -> ObjectInfo | None:
        _refuse_odd(name)

        def attempt(_again: bool) -> ObjectInfo | None:
            try:
                return object_info(self._api.stat(name))
            except NotFound as error:
                if says_bucket_is_missing(error):
                    raise
                return None

        return self._api.call(f"look at {name!r}", attempt)

    @contextmanager
    def read(self, name: str, generation: int | None = None) -> Iterator[BinaryIO]:
        _refuse_odd(name)
        with io.BufferedReader(PinnedStream(self._api, name, generation), CHUNK) as stream:
            yield cast(BinaryIO, stream)

    def write(
        self,
        name: str,
        *,
        if_generation: int | None = None,
        metadata: Mapping[str, str] | None = None,
        content_type: str = "application/octet-stream",
    ) -> GcsWriter:
        _refuse_odd(name)
        return GcsWriter(self._api, name, if_generation, metadata, content_type)

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
        _refuse_odd(source)
        _refuse_odd(target)
        wanted = Target.of(target, if_generation, metadata, content_type)

        def small() -> bytes | None:
            with PinnedStream(self._api, source, source_generation) as stream:
                return stream.readall() if stream.size <= ONE_REQUEST else None

        content = read_again_where_damaged(small)
        if content is not None:
            return upload(self._api, wanted, io.BytesIO(content), len(content))
        return self._rewrite(source, source_generation, wanted)

    def _rewrite(self, source: str, source_generation: int, target: Target) -> ObjectInfo:
        """Copies inside Cloud Storage; one call for up to a gigabyte or so, else as many as it asks for."""
        origin = self._api.bucket.blob(source, generation=source_generation)
        token: str | None = None  # of what is copied so far: a call that fails is made again from there

        def attempt(again: bool) -> ObjectInfo:
            nonlocal token
            blob = target.blob(self._api)
            try:
                while True:
                    token, _, _ = blob.rewrite(
                        origin,
                        token,
                        if_generation_match=target.if_generation,
                        timeout=self._api.timeout,
                        retry=None,
                    )
                    if token is None:
                        return object_info(blob)
            except ConditionNotMet:
                if again and (ours := target.written(self._api)):
                    return ours
                raise

        return self._api.call(f"copy {source!r} to {target.name!r}", attempt)

    def delete(self, name: str, *, if_generation: int | None = None) -> bool:
        _refuse_odd(name)

        def attempt(again: bool) -> bool:
            try:
                self._api.bucket.blob(name).delete(
                    if_generation_match=if_generation, timeout=self._api.timeout, retry=None
                )
            except NotFound as error:
                if says_bucket_is_missing(error):
                    raise
                return again  # an earlier try removed it, and only the answer was lost
            except ConditionNotMet:
                if self.stat(name) is None:
                    return again
                raise
            return True

        return self._api.call(f"delete {name!r}", attempt)

    def sweep(self) -> int:
        """Nothing to do: Cloud Storage forgets unfinished uploads by itself, after a week."""
        return 0

    def verify(self) -> None:
        next(self.objects(), None)
        self._remove_old_probes()
        probe = f"{_PROBE}{uuid.uuid4().hex}"
        written = put(self, probe, b"verify", if_generation=ABSENT)
        try:
            get(self, probe, written.generation)
        finally:
            self.delete(probe)

    def _remove_old_probes(self) -> None:
        """Of programs that were killed or may not delete: this one then fails here, before it leaves a probe."""
        for left in self.objects(_PROBE):
            if time.time() - left.created > _PROBE_SECONDS:
                self.delete(left.name)

    def close(self) -> None:
        self._api.client.close()


def stretches(prefix: str, start: str, without: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """The ranges of names that pass the folders by: from the first name up to the second (None: to the end)."""
    for folder in sorted(folder for folder in without if folder.startswith(prefix)):
        if start < folder:
            yield start, folder
        start = max(start, folder[:-1] + "0")  # the first name behind the folder: '0' follows '/'
    yield start, None


def _refuse_odd(name: str) -> None:
    """Cloud Storage would take such names, a folder would not: no program may depend on them."""
    try:
        refuse_bad_name(name)
    except UnusableMessage as error:
        raise AccessRefused(f"{name[:200]!r} is no object's name: {error}") from None
