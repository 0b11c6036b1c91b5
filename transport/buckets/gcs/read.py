"""Reading one generation of an object as a stream that survives cuts and stalls, and is checked at its end."""

from __future__ import annotations

import base64
import io
import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import google_crc32c
import requests
from google.api_core.retry import exponential_sleep_generator

from transport.bucket import BucketError, DamagedRead
from transport.buckets.gcs.api import Api, refuse_failure
from transport.buckets.gcs.faults import FAULTS, explain, is_transient

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

Result = TypeVar("Result")
CHUNK = 1024 * 1024  # bytes asked of the connection at a time: what a stream holds in memory


class PinnedStream(io.RawIOBase):
    """The stored bytes of one generation. A cut or stalled answer is taken up again where it ended.

    The connection is opened at once: `size` and `generation` are known from then on. Where the bytes do not have the
    checksum that Cloud Storage has for them, the end of the stream is a DamagedRead. Tries go on for `api.patience`
    seconds after the last byte that came.
    """

    def __init__(
        self, api: Api, name: str, generation: int | None, sleep: Callable[[float], object] = time.sleep
    ) -> None:
        self._api, self._name, self.generation, self._sleep = api, name, generation, sleep
        self._url = api.url(f"/download/storage/v1{api.bucket.blob(name).path}")
        self._offset, self.size = 0, -1
        self._expected: str | None = None
        self._checksum = google_crc32c.Checksum()
        self._response: requests.Response | None = None
        self._delays = exponential_sleep_generator(0.2, 8)
        self._last_progress = time.monotonic()
        self._persistently(self._connect)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        with memoryview(buffer).cast("B") as view:
            data = self._persistently(lambda: self._receive(min(len(view), CHUNK)))
            view[: len(data)] = data
        if data:
            self._last_progress = time.monotonic()
            self._delays = exponential_sleep_generator(0.2, 8)
        return len(data)

    def readall(self) -> bytes:
        chunks = []
        while chunk := self.read(CHUNK):
            chunks.append(chunk)
        return b"".join(chunks)

    def close(self) -> None:
        self._disconnect()
        super().close()

    def _receive(self, limit: int) -> bytes:
        if self._offset == self.size:
            self._verify()
            return b""
        response = self._response or self._connect()
        data: bytes = response.raw.read(limit, decode_content=False)
        if not data:
            raise ConnectionError(f"the answer ended at byte {self._offset} of {self.size}")
        self._offset += len(data)
        self._checksum.update(data)
        return data

    def _connect(self) -> requests.Response:
        # This asks for the bytes as they are stored, packed or not: only these have a checksum and ranges.
        headers = {"Accept-Encoding": "gzip"}
        if self._offset:
            headers["Range"] = f"bytes={self._offset}-"
        params = {"alt": "media"}
        if self.generation is not None:
            params["generation"] = str(self.generation)
        response = self._api.session.get(
            self._url, params=params, headers=headers, stream=True, timeout=self._api.timeout
        )
        try:
            refuse_failure(response)
            if self._offset and response.status_code != 206:
                raise BucketError(
                    f"gs://{self._api.bucket_name} does not serve ranges: cannot go on with {self._name!r}"
                )
            if self.size < 0:
                told = response.headers
                self.size = int(told.get("X-Goog-Stored-Content-Length") or told["Content-Length"])
                self.generation = int(told["X-Goog-Generation"])
                found = re.search(r"crc32c=([^,\s]+)", told.get("X-Goog-Hash", ""))
                self._expected = found[1] if found else None
        except BaseException:
            response.close()
            raise
        self._response = response
        return response

    def _disconnect(self) -> None:
        if self._response is not None:
            self._response.close()
            self._response = None

    def _verify(self) -> None:
        found = base64.b64encode(self._checksum.digest()).decode()
        if self._expected is not None and found != self._expected:
            raise DamagedRead(
                f"{self._name!r} of gs://{self._api.bucket_name} arrived damaged: its CRC32C is {found}, "
                f"Cloud Storage has {self._expected}; read it again"
            )

    def _persistently(self, attempt: Callable[[], Result]) -> Result:
        while True:
            try:
                return attempt()
            except FAULTS as error:
                self._disconnect()
                patience_left = self._last_progress + self._api.patience - time.monotonic()
                if not is_transient(error) or patience_left <= 0:
                    raise explain(error, self._api.bucket_name, f"read {self._name!r}") from error
                self._sleep(min(next(self._delays), patience_left))
