"""What a failed call to Cloud Storage means: try again, refuse, or report. Pure rules over the clients' exceptions."""

from __future__ import annotations

import re

import requests
import urllib3
from google.api_core.exceptions import Forbidden, GoogleAPICallError, NotFound, RetryError, Unauthorized
from google.api_core.exceptions import PreconditionFailed as ConditionNotMet
from google.auth.exceptions import GoogleAuthError, TransportError
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse

from transport.bucket import AccessRefused, BucketError, ObjectNotFound, PreconditionFailed

FAULTS = (
    GoogleAPICallError,
    RetryError,
    GoogleAuthError,
    DataCorruption,
    InvalidResponse,
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    ConnectionError,
    TimeoutError,
)
"""Everything that a call of the clients raises where the fault is not in our own code."""

_TRANSIENT_STATUS = {408, 429, 500, 502, 503, 504}
_TRANSIENT = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    urllib3.exceptions.ProtocolError,
    urllib3.exceptions.IncompleteRead,
    urllib3.exceptions.TimeoutError,
    ConnectionError,
    TimeoutError,
    TransportError,
    DataCorruption,
)
_ROLES = {
    "get": "roles/storage.objectViewer",
    "list": "roles/storage.objectViewer",
    "create": "roles/storage.objectCreator",
    "delete": "roles/storage.objectUser",
    "update": "roles/storage.objectUser",
}


def is_transient(error: BaseException) -> bool:
    """Whether the same request may succeed in a moment: overload, a server's fault, a connection cut or stalled."""
    if isinstance(error, GoogleAPICallError):
        return error.code in _TRANSIENT_STATUS
    if isinstance(error, InvalidResponse):
        return error.response.status_code in _TRANSIENT_STATUS
    return isinstance(error, _TRANSIENT)


def explain(error: Exception, bucket: str, doing: str) -> BucketError:
    """The port's error for a failed call; `doing` completes "cannot …"."""
    place = f"cannot {doing} in gs://{bucket}: "
    if isinstance(error, RetryError):
        return BucketError(f"{place}it still fails after several tries ({_text(error.cause)})")
    if isinstance(error, ConditionNotMet):
        return PreconditionFailed(f"{place}the object is not of the generation that was asked for")
    if isinstance(error, NotFound):
        if says_bucket_is_missing(error):
            return AccessRefused(f"{place}there is no such bucket; make it, or correct BUCKET")
        return ObjectNotFound(f"{place}there is no such object, or no longer this generation of it")
    if isinstance(error, Unauthorized | GoogleAuthError) and not isinstance(error, TransportError):
        return AccessRefused(
            f"{place}the credentials are missing or no longer valid ({_text(error)}). Sign in with `gcloud auth "
            "application-default login`, or give the program a service account"
        )
    if isinstance(error, Forbidden) and re.search(r"retention|object.?hold|under.*hold", error.message, re.IGNORECASE):
        return AccessRefused(
            f"{place}a retention policy or a hold keeps the object. Outputs are replaced and claims are deleted: take "
            f"the policy off the bucket, or use another one. Cloud Storage says: {_text(error)}"
        )
    if isinstance(error, Forbidden):
        return AccessRefused(f"{place}{missing_role(error.message)}. Cloud Storage says: {_text(error)}")
    return BucketError(f"{place}{_text(error)}")


def says_bucket_is_missing(error: NotFound) -> bool:
    """Tells a missing bucket from a missing object, where the server does."""
    return re.search(r"bucket\b.*\b(does not|doesn.t) exist", error.message, re.IGNORECASE) is not None


def missing_role(message: str) -> str:
    """What to grant, worked out of the text of a 403."""
    permission = re.search(r"storage\.(objects|buckets)\.(\w+)", message)
    role = _ROLES.get(permission[2], "") if permission and permission[1] == "objects" else ""
    if permission and role:
        return f"the permission {permission[0]} is missing; grant {role} on the bucket"
    return "access is refused; grant roles/storage.objectUser on the bucket"


def _text(error: BaseException | None) -> str:
    return str(error).strip()[:300] or type(error).__name__
