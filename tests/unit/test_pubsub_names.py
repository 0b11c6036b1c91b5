"""What the topics and subscriptions of a queue are called, and what is said when using them fails."""

from __future__ import annotations

import pytest
from google.api_core.exceptions import NotFound, PermissionDenied, ServiceUnavailable
from google.auth.exceptions import DefaultCredentialsError

from transport.queue import QueueError
from transport.queues.pubsub.errors import explained
from transport.queues.pubsub.names import Names


def test_one_url_names_two_topics_and_two_subscriptions() -> None:
    names = Names.parse("pubsub://my-project/flights")
    assert names.topic == "projects/my-project/topics/flights"
    assert names.subscription == "projects/my-project/subscriptions/flights-workers"
    assert names.dead_topic == "projects/my-project/topics/flights-dead"
    assert names.dead_subscription == "projects/my-project/subscriptions/flights-dead-letters"


@pytest.mark.parametrize(
    "url",
    [
        "pubsub://",
        "pubsub://project",
        "pubsub://project/",
        "pubsub:///topic",
        "pubsub://p/a/b",
        "pubsub://p/1x",
        "pubsub://p/ab",
    ],
)
def test_anything_else_is_refused_with_how_to_write_it(url: str) -> None:
    with pytest.raises(QueueError, match="a queue of Pub/Sub is written pubsub://project/topic"):
        Names.parse(url)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (NotFound("gone"), "flights does not exist; `python -m publisher provision` makes it"),
        (PermissionDenied("no"), "this account needs roles/pubsub.subscriber on it"),
        (DefaultCredentialsError("none"), "gcloud auth application-default login"),
        (ServiceUnavailable("connection refused"), "Pub/Sub does not answer for flights.*connection refused"),
        (ValueError("odd\n  thing"), "flights: odd thing"),
    ],
)
def test_an_error_says_what_to_do(error: Exception, says: str) -> None:
    with pytest.raises(QueueError, match=says):
        raise explained(error, "flights", "roles/pubsub.subscriber")
