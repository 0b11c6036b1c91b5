"""Which failures of Cloud Storage are tried again, and what the others say."""

from __future__ import annotations

import pytest
import requests
import urllib3
from google.api_core.exceptions import RetryError, from_http_status
from google.auth.exceptions import DefaultCredentialsError, RefreshError, TransportError

from transport.bucket import AccessRefused, BucketError, ObjectNotFound, PreconditionFailed
from transport.buckets.gcs.faults import explain, is_transient, missing_role


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_an_overloaded_or_failing_server_is_tried_again(status: int) -> None:
    assert is_transient(from_http_status(status, "later"))


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 412, 413, 416, 501])
def test_a_refusal_is_not_tried_again(status: int) -> None:
    assert not is_transient(from_http_status(status, "no"))


@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError("by peer"),
        TimeoutError(),
        requests.ConnectionError("refused"),
        requests.ReadTimeout("stalled"),
        requests.exceptions.ChunkedEncodingError("cut"),
        urllib3.exceptions.IncompleteRead(10, 20),
        urllib3.exceptions.ReadTimeoutError(None, "url", "stalled"),  # type: ignore[arg-type]
        TransportError("the token server is not reached"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_connection_that_fails_is_tried_again(error: Exception) -> None:
    assert is_transient(error)


@pytest.mark.parametrize(
    "error", [ValueError("ours"), KeyError("ours"), RefreshError("revoked"), PermissionError("tmp")]
)
def test_what_does_not_pass_by_itself_is_not_tried_again(error: Exception) -> None:
    assert not is_transient(error)


@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        (from_http_status(412, "conditionNotMet"), PreconditionFailed, "not of the generation"),
        (from_http_status(404, "No such object: b/x"), ObjectNotFound, "no longer this generation"),
        (from_http_status(404, "The specified bucket does not exist."), AccessRefused, "no such bucket"),
        (from_http_status(401, "Invalid Credentials"), AccessRefused, "gcloud auth application-default login"),
        (RefreshError("Token has been revoked"), AccessRefused, "Token has been revoked"),
        (DefaultCredentialsError("none found"), AccessRefused, "gcloud auth application-default login"),
        (from_http_status(403, "lacks storage.objects.delete access"), AccessRefused, "roles/storage.objectUser"),
        (from_http_status(400, "Invalid argument"), BucketError, "Invalid argument"),
        (RetryError("timed out", ConnectionResetError("by peer")), BucketError, "after several tries (by peer)"),
    ],
)
def test_errors_name_the_bucket_the_doing_and_the_way_out(error: Exception, kind: type[BucketError], says: str) -> None:
    explained = explain(error, "surveys", "read 'flights.csv'")

    assert type(explained) is kind
    assert "gs://surveys" in str(explained)
    assert "'flights.csv'" in str(explained)
    assert says in str(explained)


@pytest.mark.parametrize(
    ("message", "role"),
    [
        ("x does not have storage.objects.get access to the Google Cloud Storage object.", "objectViewer"),
        ("Permission 'storage.objects.list' denied on resource (or it may not exist).", "objectViewer"),
        ("x does not have storage.objects.create access", "objectCreator"),
        ("x does not have storage.objects.delete access", "objectUser"),
        ("billing account disabled", "objectUser"),
    ],
)
def test_a_403_names_the_role_to_grant(message: str, role: str) -> None:
    assert f"roles/storage.{role} on the bucket" in missing_role(message)
