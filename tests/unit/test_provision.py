"""What is wanted on Pub/Sub, and what is to be done where something else stands."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from google.pubsub_v1.types import Subscription as Described

from publisher.commands.provision import Provision
from publisher.provision.plan import (
    FILTER,
    Action,
    Agent,
    Grant,
    Notification,
    PlanStep,
    Resource,
    State,
    Subscription,
    Topic,
    plan,
    wanted,
)
from publisher.provision.pubsub import described
from transport.queue import Policy
from transport.queues.pubsub.names import Names

NAMES = Names.parse("pubsub://acme/flights")
POLICY = Policy(lease=60.0, max_delivery_attempts=7, min_backoff=2.0, max_backoff=90.0)
AGENTS: dict[Agent, str | None] = {Agent.PUBSUB: "serviceAccount:pubsub", Agent.STORAGE: "serviceAccount:storage"}
ALL = wanted(NAMES, POLICY, "flights-in", "", AGENTS)
WORKERS = next(each for each in ALL if isinstance(each, Subscription) and each.name == NAMES.subscription)
NOTIFICATION = next(each for each in ALL if isinstance(each, Notification))


def state_of(resources: list[Resource]) -> State:
    """The state in which exactly these are there."""
    return State(
        topics=frozenset(each.name for each in resources if isinstance(each, Topic)),
        subscriptions={each.name: each for each in resources if isinstance(each, Subscription)},
        grants=frozenset((each.resource, each.role, str(each.member)) for each in resources if isinstance(each, Grant)),
        notifications=tuple(each for each in resources if isinstance(each, Notification)),
    )


def with_workers(**changes: object) -> State:
    """Everything is there, and the workers' subscription is different."""
    return state_of([replace(WORKERS, **changes) if each is WORKERS else each for each in ALL])


def differing(found: State, resources: list[Resource] = ALL) -> list[PlanStep]:
    return [step for step in plan(resources, found) if step.differs]


def test_all_that_is_wanted_in_the_order_in_which_it_can_be_made() -> None:
    assert [str(each) for each in ALL] == [
        "topic projects/acme/topics/flights",
        "topic projects/acme/topics/flights-dead",
        "subscription projects/acme/subscriptions/flights-dead-letters",
        "subscription projects/acme/subscriptions/flights-workers",
        "roles/pubsub.publisher on projects/acme/topics/flights-dead for serviceAccount:pubsub",
        "roles/pubsub.subscriber on projects/acme/subscriptions/flights-workers for serviceAccount:pubsub",
        "roles/pubsub.publisher on projects/acme/topics/flights for serviceAccount:storage",
        "notification of gs://flights-in to projects/acme/topics/flights",
    ]


def test_the_workers_subscription_is_what_the_contract_says() -> None:
    expected = Subscription(
        name="projects/acme/subscriptions/flights-workers",
        topic="projects/acme/topics/flights",
        filter='attributes.eventType = "OBJECT_FINALIZE" AND NOT hasPrefix(attributes.objectId, "output/")',
        ack_deadline=60,
        min_backoff=2,
        max_backoff=90,
        dead_letter_topic="projects/acme/topics/flights-dead",
        max_delivery_attempts=7,
        retention=7 * 86_400,
        expires=None,
        delivery="pull",
    )
    assert expected == WORKERS


def test_dead_letters_are_kept_until_they_are_recorded_whatever_they_are() -> None:
    [dead] = [each for each in ALL if isinstance(each, Subscription) and each is not WORKERS]
    assert (dead.topic, dead.filter, dead.dead_letter_topic) == (NAMES.dead_topic, "", "")


def test_a_bucket_that_is_a_folder_needs_no_notification_and_no_grant_for_it() -> None:
    kept = wanted(NAMES, POLICY, None, "", AGENTS)
    assert not any(isinstance(each, Notification) for each in kept)
    assert {each.agent for each in kept if isinstance(each, Grant)} == {Agent.PUBSUB}


def test_a_prefix_keeps_notifications_of_anything_else_from_being_sent() -> None:
    notification = wanted(NAMES, POLICY, "flights-in", "incoming/", AGENTS)[-1]
    assert isinstance(notification, Notification)
    assert notification.prefix == "incoming/"


def test_in_an_empty_project_everything_is_made() -> None:
    assert plan(ALL, State()) == [PlanStep(Action.CREATE, each) for each in ALL]


def test_where_everything_stands_nothing_is_done() -> None:
    assert plan(ALL, state_of(ALL)) == [PlanStep(Action.NOTHING, each) for each in ALL]


@pytest.mark.parametrize("missing", ALL, ids=str)
def test_what_is_missing_is_made_alone(missing: Resource) -> None:
    found = state_of([each for each in ALL if each is not missing])
    assert differing(found) == [PlanStep(Action.CREATE, missing)]


def test_a_grant_to_somebody_else_is_none() -> None:
    found = replace(state_of(ALL), grants=frozenset({(NAMES.topic, "roles/pubsub.publisher", "user:ann@acme.org")}))
    assert [step.resource for step in differing(found)] == [each for each in ALL if isinstance(each, Grant)]


@pytest.mark.parametrize(
    ("field", "there", "told"),
    [
        ("ack_deadline", 10.0, "ack deadline is 10 s, not 60 s"),
        ("min_backoff", 0.0, "min backoff is 0 s, not 2 s"),
        ("max_backoff", 600.0, "max backoff is 600 s, not 90 s"),
        ("dead_letter_topic", "", "dead letter topic is none, not projects/acme/topics/flights-dead"),
        ("max_delivery_attempts", 5, "max delivery attempts is 5, not 7"),
        ("retention", 600.0, "retention is 600 s, not 7 days"),
        ("expires", 31 * 86_400.0, "expires is 31 days, not never"),
    ],
)
def test_a_setting_that_differs_is_named_and_changed(field: str, there: object, told: str) -> None:
    assert differing(with_workers(**{field: there})) == [PlanStep(Action.UPDATE, WORKERS, (told,), (field,))]


@pytest.mark.parametrize(
    ("field", "there", "told"),
    [
        ("filter", "", f"filter is none, not {FILTER}"),
        ("topic", "_deleted-topic_", "topic is _deleted-topic_, not projects/acme/topics/flights"),
        ("delivery", "push", "delivery is push, not pull"),
        ("delivery", "detached", "delivery is detached, not pull"),
    ],
)
def test_what_cannot_be_changed_is_left_alone_and_it_is_said_what_to_do(field: str, there: object, told: str) -> None:
    # Given: it differs in something else, too, which would be right once it is made again
    [step] = differing(with_workers(**{field: there, "ack_deadline": 10.0}))

    assert step.action is Action.BY_HAND
    assert step.why[:2] == (told, "ack deadline is 10 s, not 60 s")
    assert "gcloud pubsub subscriptions delete projects/acme/subscriptions/flights-workers" in step.why[2]
    assert "python -m publisher provision" in step.why[2]


@pytest.mark.parametrize(
    ("there", "told"),
    [
        ({"events": ()}, "events is all there are, not OBJECT_FINALIZE"),
        ({"events": ("OBJECT_DELETE", "OBJECT_FINALIZE")}, "events is OBJECT_DELETE and OBJECT_FINALIZE"),
        ({"payload": "NONE"}, "payload is NONE, not JSON_API_V1"),
        ({"prefix": "old/"}, "prefix is old/, not none"),
        ({}, "more than once"),
    ],
)
def test_another_notification_to_this_topic_is_to_be_removed_by_hand(there: dict[str, object], told: str) -> None:
    # Given: ours, and one that has events sent twice or for nobody
    other = replace(NOTIFICATION, id="projects/_/buckets/flights-in/notificationConfigs/3", **there)  # type: ignore[arg-type]
    found = replace(state_of(ALL), notifications=(replace(NOTIFICATION, id="…/1"), other))

    [step] = differing(found)
    assert step.action is Action.BY_HAND
    assert told in step.why[0]
    assert step.why[1].endswith("notifications delete projects/_/buckets/flights-in/notificationConfigs/3")


def test_notifications_to_other_topics_are_none_of_our_business() -> None:
    others = replace(NOTIFICATION, topic="projects/acme/topics/audit", events=())
    found = state_of(ALL)
    assert not differing(replace(found, notifications=(others, *found.notifications)))


def test_what_a_server_does_not_have_is_passed_over_with_the_reason() -> None:
    found = replace(state_of([]), unavailable={Grant: "no IAM here", Notification: "no notifications here"})
    steps = plan(ALL, found)
    assert [step.action for step in steps] == [Action.CREATE] * 4 + [Action.SKIP] * 4
    assert {step.why for step in steps if step.action is Action.SKIP} == {
        ("no IAM here",),
        ("no notifications here",),
    }
    assert not any(step.differs for step in steps if step.action is Action.SKIP)


def test_a_subscription_with_everything_left_to_pubsub_is_read_as_what_that_means() -> None:
    read = described(Described(name="s", topic="t", ack_deadline_seconds=10))
    assert (read.expires, read.min_backoff, read.max_delivery_attempts) == (31 * 86_400.0, 0.0, 0)
    assert read.delivery == "pull"


def test_a_subscription_that_never_expires_is_read_so() -> None:
    assert described(Described(expiration_policy={})).expires is None
    assert described(Described(expiration_policy={"ttl": timedelta(days=2)})).expires == 2 * 86_400.0


def test_who_pushes_or_has_detached_it_is_read_so() -> None:
    assert described(Described(push_config={"push_endpoint": "https://acme.org"})).delivery == "push"
    assert described(Described(detached=True)).delivery == "detached"


def test_the_embedded_default_needs_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert Provision(bucket="./bucket", queue="./queue.db").run() == 0
    assert "nothing is needed" in capsys.readouterr().out


def test_a_bucket_on_google_with_a_queue_here_is_told_how_files_are_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert Provision(bucket="gs://flights-in", queue="./queue.db").run() == 0
    assert "--interval" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"dry_run": True, "check": True}, "choose one"),
        ({"min_backoff": 70.0}, "--min-backoff (70 s) is above --max-backoff (60 s)"),
        ({"queue": "pubsub://acme"}, "pubsub://project/topic"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(
    options: dict[str, object], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Provision(**{"bucket": "gs://b", "queue": "pubsub://acme/flights", **options})  # type: ignore[arg-type]
    assert settings.run() == 2
    assert told in capsys.readouterr().err
