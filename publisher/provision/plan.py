"""What a queue on Pub/Sub and its bucket need, and what is to be done where they have something else. Pure.

The state wanted, and the state found, are the same frozen dataclasses; `plan` compares them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum

from transport.queue import Policy
from transport.queues.pubsub.names import PROVISION, Names

# Pub/Sub drops a bucket's messages about anything but new objects, and those about our own outputs.
FILTER = 'attributes.eventType = "OBJECT_FINALIZE" AND NOT hasPrefix(attributes.objectId, "output/")'
DAY = 86_400.0  # seconds
RETENTION = 7 * DAY  # seconds that an unacked message is kept; after that the reconciler publishes its file again
PUBLISHER = "roles/pubsub.publisher"
SUBSCRIBER = "roles/pubsub.subscriber"
MADE_AGAIN = f"`{PROVISION}` makes it again; the publisher publishes again what has no receipt yet"


class NotHere(Exception):
    """This server does not have such a thing; the text says which server and thing."""


class Agent(StrEnum):
    """Google's own account that acts for a service in a project."""

    PUBSUB = "the Pub/Sub service agent"
    STORAGE = "the Cloud Storage service agent"


@dataclass(frozen=True)
class Topic:
    name: str

    def __str__(self) -> str:
        return f"topic {self.name}"


@dataclass(frozen=True)
class Subscription:
    """Times in seconds; `expires`: after so long without use (None: never). Without dead letters: "" and 0."""

    name: str
    topic: str
    filter: str
    ack_deadline: float
    min_backoff: float
    max_backoff: float
    dead_letter_topic: str = ""
    max_delivery_attempts: int = 0
    retention: float = RETENTION
    expires: float | None = None
    delivery: str = "pull"  # else "push", or "detached"

    def __str__(self) -> str:
        return f"subscription {self.name}"


@dataclass(frozen=True)
class Grant:
    """A role on a topic or subscription for an account; `member` is None where that could not be found out."""

    resource: str
    role: str
    agent: Agent
    member: str | None

    def __str__(self) -> str:
        return f"{self.role} on {self.resource} for {self.member or self.agent}"


@dataclass(frozen=True)
class Notification:
    """What a bucket publishes. No `events`: all there are. `id`: its number, "" before it exists."""

    bucket: str
    topic: str
    prefix: str = ""
    events: tuple[str, ...] = ("OBJECT_FINALIZE",)
    payload: str = "JSON_API_V1"
    id: str = field(default="", compare=False)

    def __str__(self) -> str:
        below = f" below {self.prefix!r}" if self.prefix else ""
        number = f" ({self.id})" if self.id else ""
        return f"notification of gs://{self.bucket}{below} to {self.topic}{number}"


Resource = Topic | Subscription | Grant | Notification


@dataclass(frozen=True)
class State:
    """What there is. `unavailable`: kinds of resource that this server does not have, and why."""

    topics: frozenset[str] = frozenset()
    subscriptions: Mapping[str, Subscription] = field(default_factory=dict)
    grants: frozenset[tuple[str, str, str]] = frozenset()  # resource, role, member
    notifications: tuple[Notification, ...] = ()
    unavailable: Mapping[type, str] = field(default_factory=dict)


class Action(StrEnum):
    NOTHING = "ok"
    CREATE = "create"
    UPDATE = "update"
    BY_HAND = "by hand"  # what cannot be changed, or is not ours to change
    SKIP = "skip"  # this server does not have such a thing


@dataclass(frozen=True)
class PlanStep:
    """What one resource needs, and why. `changed`: names of the subscription's fields that are to be updated."""

    action: Action
    resource: Resource
    why: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    @property
    def differs(self) -> bool:
        return self.action not in (Action.NOTHING, Action.SKIP)


def wanted(
    names: Names, policy: Policy, bucket: str | None, prefix: str, agents: Mapping[Agent, str | None]
) -> list[Resource]:
    """Everything that is to be there, in the order in which it can be made; `bucket` None: it sends no notifications.

    The dead letters' subscription has no dead letters of its own: one that cannot be recorded stays until it can.
    """
    workers = Subscription(
        name=names.subscription,
        topic=names.topic,
        filter=FILTER,
        ack_deadline=policy.lease,
        min_backoff=policy.min_backoff,
        max_backoff=policy.max_backoff,
        dead_letter_topic=names.dead_topic,
        max_delivery_attempts=policy.max_delivery_attempts,
    )
    dead = replace(
        workers,
        name=names.dead_subscription,
        topic=names.dead_topic,
        filter="",
        dead_letter_topic="",
        max_delivery_attempts=0,
    )
    # The dead letters' subscription first: a dead letter that Pub/Sub moved there earlier would be lost.
    resources: list[Resource] = [Topic(names.topic), Topic(names.dead_topic), dead, workers]
    # Pub/Sub moves dead letters by publishing them to one topic and acking them in the other's subscription.
    for resource, role in ((names.dead_topic, PUBLISHER), (names.subscription, SUBSCRIBER)):
        resources.append(Grant(resource, role, Agent.PUBSUB, agents.get(Agent.PUBSUB)))
    if bucket is not None:
        resources.append(Grant(names.topic, PUBLISHER, Agent.STORAGE, agents.get(Agent.STORAGE)))
        resources.append(Notification(bucket, names.topic, prefix))
    return resources


def plan(resources: Iterable[Resource], found: State) -> list[PlanStep]:
    """One step for each resource, in their order; and one for each notification that is there and not wanted."""
    steps = []
    for resource in resources:
        if (reason := found.unavailable.get(type(resource))) is not None:
            steps.append(PlanStep(Action.SKIP, resource, (reason,)))
        elif isinstance(resource, Subscription):
            steps.append(_subscription(resource, found.subscriptions.get(resource.name)))
        elif isinstance(resource, Notification):
            steps += _notifications(resource, found.notifications)
        elif _exists(resource, found):
            steps.append(PlanStep(Action.NOTHING, resource))
        else:
            steps.append(PlanStep(Action.CREATE, resource))
    return steps


def _exists(resource: Topic | Grant, found: State) -> bool:
    if isinstance(resource, Topic):
        return resource.name in found.topics
    return (resource.resource, resource.role, resource.member) in found.grants


_FIXED = ("topic", "filter", "delivery")  # what Pub/Sub cannot change, or what a person has chosen on purpose


def _subscription(want: Subscription, have: Subscription | None) -> PlanStep:
    if have is None:
        return PlanStep(Action.CREATE, want)
    names = [each.name for each in fields(want) if getattr(want, each.name) != getattr(have, each.name)]
    differences = {name: _difference(name, getattr(have, name), getattr(want, name)) for name in names}
    if fixed := [name for name in names if name in _FIXED]:
        others = [name for name in names if name not in _FIXED]  # made again, it gets these right as well
        remove = f"remove it: gcloud pubsub subscriptions delete {want.name}; then {MADE_AGAIN}"
        return PlanStep(Action.BY_HAND, want, (*(differences[name] for name in (*fixed, *others)), remove))
    if names:
        return PlanStep(Action.UPDATE, want, tuple(differences.values()), tuple(names))
    return PlanStep(Action.NOTHING, want)


def _notifications(want: Notification, found: Sequence[Notification]) -> list[PlanStep]:
    """Any other notification from this bucket to this topic sends events twice, or events that are not wanted."""
    ours = [one for one in found if one.topic == want.topic]
    standing = next((one for one in ours if one == want), None)
    steps = [PlanStep(Action.NOTHING if standing else Action.CREATE, standing or want)]
    for other in ours:
        if other is standing:
            continue
        differences = [
            _difference(name, getattr(other, name), getattr(want, name))
            for name in ("prefix", "events", "payload")
            if getattr(other, name) != getattr(want, name)
        ]
        why = "; ".join(differences) or "it is there more than once, and each event is sent as often"
        remove = f"remove it: gcloud storage buckets notifications delete {other.id}"
        steps.append(PlanStep(Action.BY_HAND, other, (why, remove)))
    return steps


def _difference(name: str, have: object, want: object) -> str:
    return f"{name.replace('_', ' ')} is {_shown(have)}, not {_shown(want)}"


def _shown(value: object) -> str:
    if value is None:
        return "never"
    if isinstance(value, tuple):
        return " and ".join(map(str, value)) or "all there are"
    if isinstance(value, float):
        return f"{value:g} s" if value < DAY else f"{value / DAY:g} days"
    return str(value) if value not in ("", 0) else "none"
