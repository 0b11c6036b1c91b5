"""Topics, subscriptions and grants of Pub/Sub: what is there, and the calls that make and change them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from google.api_core.exceptions import Aborted, AlreadyExists, InvalidArgument, MethodNotImplemented, NotFound
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient
from google.pubsub_v1.types import Subscription as Described

from publisher.provision.plan import DAY, Grant, NotHere, State, Subscription, Topic
from transport.queue import QueueError
from transport.queues.pubsub.errors import CALL_ERRORS, explained
from transport.queues.pubsub.names import Names

CALL_SECONDS = 60.0
ADMIN = "roles/pubsub.admin"
NO_IAM = "Pub/Sub has no permissions here, as its emulator has none: nothing is to be granted"
_UNUSED_FOR = 31 * DAY  # seconds after which a subscription expires where nothing is said
_TRIES = 5  # of a change to a policy that others change too


class PubSubAdmin:
    """What the queue's topics and subscriptions are, and how they are made. Methods raise QueueError."""

    def __init__(self, names: Names) -> None:
        self._names = names
        try:
            self._topics, self._subscriptions = PublisherClient(), SubscriberClient()
        except CALL_ERRORS as error:
            raise explained(error, f"projects/{names.project}", ADMIN) from error

    def close(self) -> None:
        self._topics.stop()
        self._topics.transport.close()
        self._subscriptions.close()

    def find(self) -> State:
        """What there is of the four resources; notifications apart."""
        names = self._names
        topics = [name for name in (names.topic, names.dead_topic) if self._topic_exists(name)]
        found = [self._subscription(name) for name in (names.subscription, names.dead_subscription)]
        subscriptions = {each.name: each for each in found if each is not None}
        try:
            grants = [grant for name in (*topics, *subscriptions) for grant in self._granted(name)]
            if not topics:  # whether there are permissions at all is to be known before the first topic
                self._granted(names.topic)
        except NotHere as reason:
            return State(frozenset(topics), subscriptions, unavailable={Grant: str(reason)})
        return State(frozenset(topics), subscriptions, frozenset(grants))

    def make_topic(self, topic: Topic) -> None:
        """Makes the topic, unless it was made meanwhile."""
        self._call(topic.name, lambda: self._topics.create_topic(name=topic.name, timeout=CALL_SECONDS))

    def make_subscription(self, wanted: Subscription) -> None:
        """Makes the subscription, unless it was made meanwhile."""
        request = {"name": wanted.name, "topic": wanted.topic, "filter": wanted.filter, **_settings(wanted)}
        self._call(wanted.name, lambda: self._subscriptions.create_subscription(request=request, timeout=CALL_SECONDS))

    def change_subscription(self, wanted: Subscription, changed: tuple[str, ...]) -> None:
        """Changes these fields of it. Raises NotHere, after the others were changed, for those an emulator refuses."""
        settings, refused = _settings(wanted), []
        for path in sorted({_PATHS[name] for name in changed}):  # one by one: the emulator refuses some
            request = {"subscription": {"name": wanted.name, path: settings[path]}, "update_mask": {"paths": [path]}}
            try:
                self._call(
                    wanted.name,
                    lambda request=request: self._subscriptions.update_subscription(  # type: ignore[misc]
                        request=request, timeout=CALL_SECONDS
                    ),
                )
            except NotHere as reason:
                refused.append(str(reason))
        if refused:
            raise NotHere("; ".join(refused))

    def grant(self, grant: Grant) -> None:
        """Adds the grant to the resource's policy, and leaves everything else in it as it is."""
        client = self._client_of(grant.resource)
        for tries_left in reversed(range(_TRIES)):
            try:
                policy = self._policy(grant.resource)
                policy.bindings.add(role=grant.role, members=[grant.member])
                # The policy carries the etag it was read with: the call is refused if the policy has changed since.
                request = {"resource": grant.resource, "policy": policy}
                client.set_iam_policy(request=request, timeout=CALL_SECONDS)
            except Aborted as error:
                if not tries_left:
                    raise explained(error, grant.resource, ADMIN) from error
            except InvalidArgument as error:
                raise QueueError(
                    f"{grant.member} cannot be granted {grant.role} on {grant.resource}: {error.message}. If that"
                    " account does not exist yet: gcloud beta services identity create --service=pubsub.googleapis.com"
                ) from error
            except CALL_ERRORS as error:
                raise explained(error, grant.resource, ADMIN) from error
            else:
                return

    def _topic_exists(self, name: str) -> bool:
        try:
            self._topics.get_topic(topic=name, timeout=CALL_SECONDS)
        except NotFound:
            return False
        except CALL_ERRORS as error:
            raise explained(error, name, ADMIN) from error
        return True

    def _subscription(self, name: str) -> Subscription | None:
        try:
            return described(self._subscriptions.get_subscription(subscription=name, timeout=CALL_SECONDS))
        except NotFound:
            return None
        except CALL_ERRORS as error:
            raise explained(error, name, ADMIN) from error

    def _granted(self, resource: str) -> list[tuple[str, str, str]]:
        """Grants without a condition. Raises NotHere where there are no permissions."""
        try:
            bindings = self._policy(resource).bindings
        except MethodNotImplemented:
            raise NotHere(NO_IAM) from None
        except NotFound:
            return []
        except CALL_ERRORS as error:
            raise explained(error, resource, ADMIN) from error
        return [
            (resource, binding.role, member)
            for binding in bindings
            if not binding.condition.expression
            for member in binding.members
        ]

    def _policy(self, resource: str) -> Any:
        # Version 3, or else bindings with a condition come without it, and would be written back so.
        request = {"resource": resource, "options": {"requested_policy_version": 3}}
        return self._client_of(resource).get_iam_policy(request=request, timeout=CALL_SECONDS)

    def _client_of(self, resource: str) -> Any:
        return self._subscriptions if "/subscriptions/" in resource else self._topics

    def _call(self, resource: str, call: Callable[[], object]) -> None:
        try:
            call()
        except AlreadyExists:
            return
        except NotFound as error:
            raise QueueError(
                f"{resource} cannot be made: {error.message}. Is the project right, and Pub/Sub switched on there"
                " (gcloud services enable pubsub.googleapis.com)?"
            ) from error
        except CALL_ERRORS as error:
            if isinstance(error, InvalidArgument) and "in the Pub/Sub Emulator" in error.message:
                raise NotHere(error.message) from error
            raise explained(error, resource, ADMIN) from error


def described(there: Described) -> Subscription:
    """A subscription as Pub/Sub describes it, in the plan's terms."""
    expires: float | None = _UNUSED_FOR
    if "expiration_policy" in there:  # there and without a time, it means never
        expires = _seconds(there.expiration_policy.ttl) or None
    return Subscription(
        name=there.name,
        topic=there.topic,
        filter=there.filter,
        ack_deadline=float(there.ack_deadline_seconds),
        min_backoff=_seconds(there.retry_policy.minimum_backoff),
        max_backoff=_seconds(there.retry_policy.maximum_backoff),
        dead_letter_topic=there.dead_letter_policy.dead_letter_topic,
        max_delivery_attempts=there.dead_letter_policy.max_delivery_attempts,
        retention=_seconds(there.message_retention_duration),
        expires=expires,
        delivery="detached" if there.detached else "push" if there.push_config.push_endpoint else "pull",
    )


# Which part of Pub/Sub's description each field of ours lies in.
_PATHS = {
    "ack_deadline": "ack_deadline_seconds",
    "min_backoff": "retry_policy",
    "max_backoff": "retry_policy",
    "dead_letter_topic": "dead_letter_policy",
    "max_delivery_attempts": "dead_letter_policy",
    "retention": "message_retention_duration",
    "expires": "expiration_policy",
}


def _settings(wanted: Subscription) -> dict[str, Any]:
    """Everything that may be changed later, as Pub/Sub takes it."""
    settings: dict[str, Any] = {
        "ack_deadline_seconds": round(wanted.ack_deadline),
        "retry_policy": {
            "minimum_backoff": timedelta(seconds=wanted.min_backoff),
            "maximum_backoff": timedelta(seconds=wanted.max_backoff),
        },
        "dead_letter_policy": None,
        "message_retention_duration": timedelta(seconds=wanted.retention),
        "expiration_policy": {} if wanted.expires is None else {"ttl": timedelta(seconds=wanted.expires)},
    }
    if wanted.dead_letter_topic:
        settings["dead_letter_policy"] = {
            "dead_letter_topic": wanted.dead_letter_topic,
            "max_delivery_attempts": wanted.max_delivery_attempts,
        }
    return settings


def _seconds(duration: timedelta | None) -> float:
    return duration.total_seconds() if duration else 0.0
