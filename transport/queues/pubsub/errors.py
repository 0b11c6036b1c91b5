"""What went wrong with Pub/Sub, in words that say what to do."""

from __future__ import annotations

from concurrent.futures import TimeoutError as FutureTimeoutError

from google.api_core.exceptions import (
    Aborted,
    Forbidden,
    GoogleAPIError,
    NotFound,
    RetryError,
    ServerError,
    TooManyRequests,
    Unauthenticated,
)
from google.api_core.retry import Retry, if_exception_type
from google.auth.exceptions import GoogleAuthError

from transport.queue import QueueError, QueueMissing
from transport.queues.pubsub.names import PROVISION

# What calls of Google's clients raise, and what a message that cannot be put into a request does.
CALL_ERRORS = (GoogleAPIError, GoogleAuthError, FutureTimeoutError, ValueError, TypeError)


def retried(seconds: float) -> Retry:
    """Tries again after errors that may pass, for `seconds` at most; the client's defaults try for ten minutes."""
    return Retry(if_exception_type(Aborted, ServerError, TooManyRequests), initial=0.1, maximum=5.0, timeout=seconds)


def explained(error: BaseException, resource: str, role: str) -> QueueError:
    """The error to raise where using `resource` failed, and using it needs `role`."""
    if isinstance(error, NotFound):
        return QueueMissing(f"{resource} does not exist; `{PROVISION}` makes it")
    if isinstance(error, Forbidden):
        return QueueError(f"{resource} may not be used: this account needs {role} on it ({_brief(error)})")
    if isinstance(error, (Unauthenticated, GoogleAuthError)):
        return QueueError(
            f"no credentials for {resource}: `gcloud auth application-default login`, or a service account"
            f" ({_brief(error)})"
        )
    if isinstance(error, (FutureTimeoutError, RetryError, ServerError)):
        return QueueError(f"Pub/Sub does not answer for {resource}; trying again may help ({_brief(error)})")
    return QueueError(f"{resource}: {_brief(error)}")


def _brief(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
