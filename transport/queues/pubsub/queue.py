"""The queue on Google Cloud Pub/Sub: `pubsub://project/topic`.

`python -m publisher provision` makes its topics and subscriptions. The roles that it needs, each on that resource only:

- a worker: roles/pubsub.subscriber and roles/pubsub.viewer on the subscription `<topic>-workers`;
- the publisher: roles/pubsub.publisher on the topic, and roles/pubsub.subscriber and roles/pubsub.viewer on the
  subscriptions `<topic>-dead-letters` and `<topic>-workers`.

Leases run as on every queue: a delivery is its puller's for the subscription's ack deadline, and for as long as it is
extended. Pub/Sub counts an attempt when a message is sent to a client, so what is pulled ahead and given back by
`close` counts too; little is pulled ahead.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from itertools import islice

from google.api_core.exceptions import MethodNotImplemented
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient
from google.cloud.pubsub_v1.types import BatchSettings
from google.pubsub_v1.types import Subscription

from transport.event import Message
from transport.queue import Backlog, Policy, QueueError
from transport.queues.pubsub.answers import PendingAnswers
from transport.queues.pubsub.connection import connect
from transport.queues.pubsub.errors import CALL_ERRORS, explained, retried
from transport.queues.pubsub.names import PROVISION, Names
from transport.queues.pubsub.stream import PullStream, Received

BATCH = 1000  # messages per publish call: as many as Pub/Sub takes
CALL_SECONDS = 60.0  # for one call, with its retries
TROUBLE_SECONDS = 3.0  # for one that is a question of health
PUBLISHER = "roles/pubsub.publisher"
SUBSCRIBER = "roles/pubsub.subscriber"
VIEWER = "roles/pubsub.viewer"


class PubSubDelivery:
    """One delivery. Its answers are sent within moments; one that comes too late, or is the second, has no effect."""

    def __init__(self, received: Received, queue: PubSubQueue) -> None:
        pulled = received.message
        self._received = received
        self._queue = queue
        self.id: str = pulled.message_id
        self.message = Message(pulled.data, dict(pulled.attributes))
        self.attempt: int = pulled.delivery_attempt or 0  # None on a subscription without dead letters

    def ack(self) -> None:
        answers = self._queue.answers()
        if self._received.answered():
            answers.ack(self._received.message.ack_id)

    def nack(self) -> None:
        answers = self._queue.answers()
        if self._received.answered():
            answers.nack(self._received.message.ack_id)

    def extend(self) -> None:
        answers = self._queue.answers()
        if not self._received.is_answered:
            answers.extend(self._received.message.ack_id, self._queue.lease_seconds)


class PubSubQueue:
    """The topic at `url` with the subscription of its workers, or with `dead_letters` that of its dead letters.

    Nothing is contacted before it is used, and the stream is not opened before the first pull.
    """

    def __init__(self, url: str, *, dead_letters: bool = False) -> None:
        self._url = url
        self.names = Names.parse(url)
        self._topic = self.names.dead_topic if dead_letters else self.names.topic
        self._subscription = self.names.dead_subscription if dead_letters else self.names.subscription
        self._lock = threading.RLock()
        self._closed = False
        self._publisher: PublisherClient | None = None
        self._subscriber: SubscriberClient | None = None
        self._policy: Policy | None = None
        self._stream: PullStream | None = None
        self._answers: PendingAnswers | None = None

    @property
    def url(self) -> str:
        return self._url

    @property
    def policy(self) -> Policy:
        """As it is provisioned; asked for once. Without dead letters or back-off those fields are 0."""
        with self._lock:
            if self._policy is None:
                self._policy = _policy_of(self._described())
            return self._policy

    @property
    def last_heard(self) -> float | None:
        """When the last message came, in seconds since 1970; None before the first. For a health check."""
        return self._stream.last_heard if self._stream else None

    @property
    def lease_seconds(self) -> int:
        return round(self.policy.lease)

    def publish(self, messages: Iterable[Message]) -> int:
        """Adds messages, BATCH in a call. Raises QueueError where one did not arrive; others of its batch may have."""
        count, coming = 0, iter(messages)
        while batch := list(islice(coming, BATCH)):
            try:
                client, retry = self._publishing(), retried(CALL_SECONDS)
                futures = [
                    client.publish(self._topic, message.data, retry=retry, **message.attributes) for message in batch
                ]
                for future in futures:
                    future.result(timeout=2 * CALL_SECONDS)
            except CALL_ERRORS as error:
                raise explained(error, self._topic, PUBLISHER) from error
            count += len(batch)
        return count

    def pull(self, max_messages: int, wait: float) -> list[PubSubDelivery]:
        """Up to `max_messages`, those that are here first; empty also while the stream is down and being reopened."""
        with self._lock:
            if self._closed:
                return []
            if self._stream is None:
                give_back = self.answers().nack
                self._stream = PullStream(self._subscribing(), self._subscription, self.lease_seconds, give_back)
            stream = self._stream
        taken = [PubSubDelivery(received, self) for received in stream.take(max_messages, wait)]
        for delivery in taken:
            delivery.extend()  # a whole lease from now: it may have lain in the buffer for most of its first
        return taken

    def backlog(self) -> Backlog:
        """Nothing: Pub/Sub tells the length of a subscription through Cloud Monitoring only, minutes late."""
        return Backlog(waiting=None, leased=None, dead=None)

    def trouble(self) -> str:
        """What the service answers when it is asked for the subscription: a stream that is cut off only falls silent.

        A stream that is silent although the service answers is opened again by itself, after SILENCE_SECONDS.
        """
        try:
            self._subscribing().get_subscription(
                request={"subscription": self._subscription}, retry=None, timeout=TROUBLE_SECONDS
            )
        except CALL_ERRORS as error:
            return str(explained(error, self._subscription, VIEWER))
        return ""

    def verify(self) -> None:
        """Looks at the subscription, and asks what this account may do with it and its topic.

        Raises QueueError where the subscription is missing or is of another topic, or where this account may neither
        pull nor publish. Which of the two a program needs shows in its first use.
        """
        described = self._described()
        if described.topic != self._topic:
            raise QueueError(
                f"{self._subscription} gets the messages of {described.topic}, not of {self._topic};"
                f" delete it, and `{PROVISION}` makes it again"
            )
        try:
            granted = self._granted()
        except CALL_ERRORS as error:
            raise explained(error, self._subscription, VIEWER) from error
        if not granted:
            raise QueueError(
                f"this account may neither pull from {self._subscription} (a worker needs {SUBSCRIBER} on it)"
                f" nor publish to {self._topic} (a publisher needs {PUBLISHER} on it)"
            )

    def close(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
        if self._stream is not None:
            self._stream.close()
        if self._answers is not None:
            self._answers.close()
        if self._publisher is not None:
            self._publisher.stop()
            self._publisher.transport.close()
        if self._subscriber is not None:
            self._subscriber.close()

    def answers(self) -> PendingAnswers:
        """The way back for acks, nacks and extensions. Raises QueueError once the queue is closed."""
        with self._lock:
            if self._closed:
                raise QueueError(f"the queue {self._url} is closed; what was pulled from it is delivered again")
            if self._answers is None:
                self._answers = PendingAnswers(self._subscribing(), self._subscription)
            return self._answers

    def _described(self) -> Subscription:
        try:
            return self._subscribing().get_subscription(
                request={"subscription": self._subscription}, timeout=CALL_SECONDS
            )
        except CALL_ERRORS as error:
            raise explained(error, self._subscription, VIEWER) from error

    def _granted(self) -> bool:
        for client, resource, permission in (
            (self._subscribing(), self._subscription, "pubsub.subscriptions.consume"),
            (self._publishing(), self._topic, "pubsub.topics.publish"),
        ):
            try:
                answer = client.test_iam_permissions(
                    request={"resource": resource, "permissions": [permission]}, timeout=CALL_SECONDS
                )
            except MethodNotImplemented:  # the emulator has no IAM
                return True
            if answer.permissions:
                return True
        return False

    def _subscribing(self) -> SubscriberClient:
        with self._lock:
            if self._subscriber is None:
                try:
                    self._subscriber = connect()
                except CALL_ERRORS as error:
                    raise explained(error, self._subscription, SUBSCRIBER) from error
            return self._subscriber

    def _publishing(self) -> PublisherClient:
        with self._lock:
            if self._publisher is None:
                self._publisher = PublisherClient(batch_settings=BatchSettings(max_messages=BATCH, max_latency=0.02))
            return self._publisher


def _policy_of(subscription: Subscription) -> Policy:
    dead, retry = subscription.dead_letter_policy, subscription.retry_policy
    return Policy(
        lease=float(subscription.ack_deadline_seconds),
        max_delivery_attempts=dead.max_delivery_attempts,
        min_backoff=retry.minimum_backoff.total_seconds() if retry.minimum_backoff else 0.0,
        max_backoff=retry.maximum_backoff.total_seconds() if retry.maximum_backoff else 0.0,
    )
