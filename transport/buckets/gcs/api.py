"""The connection to one bucket of Cloud Storage: client, session, time limits, repeated tries."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import requests
from google.api_core.exceptions import from_http_status
from google.api_core.retry import Retry
from google.auth.exceptions import GoogleAuthError
from google.cloud import storage

from transport.bucket import AccessRefused, ObjectInfo
from transport.buckets.gcs.faults import FAULTS, explain, is_transient

WRITE_ID = "understudy-write"
"""Metadata key with an id of the very write that made an object: how a writer knows its own after a lost answer."""

Result = TypeVar("Result")


class Api:
    """Calls to one bucket. `timeout`: seconds to connect, and without a byte; `patience`: seconds of trying in all."""

    def __init__(self, bucket: str, timeout: tuple[float, float], patience: float) -> None:
        self.bucket_name, self.timeout, self.patience = bucket, timeout, patience
        # Otherwise the library looks at the bucket itself, for its tracing: once per client, and again in a thread
        # after each object that is not found. That would take another permission, and another request.
        os.environ.setdefault("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")
        try:
            # No call of ours is about a project; the client wants one named all the same.
            self.client = storage.Client(project="unused")
        except (GoogleAuthError, OSError, ValueError) as error:
            raise explain(GoogleAuthError(str(error)), bucket, "sign in") from error
        self.bucket = self.client.bucket(bucket)

    @property
    def session(self) -> requests.Session:
        """The client's own session (it signs each request), for what the client has no call for."""
        return self.client._http  # there is no public way to it

    def url(self, path: str) -> str:
        return f"{self.client.api_endpoint}{path}"

    def retry(self, on_error: Callable[[Exception], object] | None = None) -> Retry:
        """Tries again after transient faults: exponential back-off with jitter, up to `patience`."""
        return Retry(
            predicate=is_transient, initial=0.2, maximum=8, multiplier=2, timeout=self.patience, on_error=on_error
        )

    def call(self, doing: str, attempt: Callable[[bool], Result]) -> Result:
        """The result of `attempt(again)`, tried until it does not fail transiently; `again`: an earlier try failed.

        A failed try may have had its effect all the same: only its answer was lost.
        """
        faults: list[Exception] = []
        try:
            return self.retry(faults.append)(lambda: attempt(bool(faults)))()  # type: ignore[no-any-return]
        except FAULTS as error:
            raise explain(error, self.bucket_name, doing) from error

    def stat(self, name: str) -> Any:
        """One look at an object: the library's blob, its properties loaded. Raises what the library raises."""
        blob = self.bucket.blob(name)
        blob.reload(retry=None, timeout=self.timeout)
        return blob

    def no_bucket(self) -> AccessRefused:
        return AccessRefused(f"there is no bucket gs://{self.bucket_name}; make it, or correct BUCKET")


def refuse_failure(response: requests.Response) -> None:
    """Raises the library's exception for an answer that is no success."""
    if response.status_code >= 400:
        text = response.text[:500]
        with suppress(ValueError, KeyError, TypeError):  # not every front end answers in JSON
            text = response.json()["error"]["message"]
        raise from_http_status(response.status_code, text)


def object_info(blob: Any) -> ObjectInfo:
    """What the library's blob says, in the port's terms."""
    metadata = {key: value for key, value in (blob.metadata or {}).items() if key != WRITE_ID}
    return ObjectInfo(
        name=blob.name,
        generation=blob.generation,
        size=blob.size,
        created=blob.time_created.timestamp(),
        metadata=metadata,
        md5=_hexadecimal(blob.md5_hash),
        crc32c=blob.crc32c,
    )


def _hexadecimal(digest: str | None) -> str | None:
    return base64.b64decode(digest).hex() if digest else None
