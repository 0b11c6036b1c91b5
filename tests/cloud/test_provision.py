"""`python -m publisher provision` against the emulators, and with what they lack: permissions, notifications."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient
from google.iam.v1 import policy_pb2

from publisher.commands.provision import Provision
from tests.cloud.lacking import Notifying, Policies
from tests.emulators import StorageServer
from transport.queues.pubsub.names import Names

pytestmark = pytest.mark.emulator


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch, pubsub_emulator: str) -> Names:
    """Names that no other test uses, on the emulator."""
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", pubsub_emulator)
    return Names("acme-data", f"provision-{uuid.uuid4().hex}")


def provision(names: Names, bucket: str = "./bucket", **options: Any) -> int:
    return Provision(bucket=bucket, queue=f"pubsub://{names.project}/{names.topic_id}", **options).run()


def words(text: str) -> dict[str, list[str]]:
    """What was said of each resource: the word → the resources' names, shortened."""
    said: dict[str, list[str]] = {}
    for line in text.splitlines():
        if not line.startswith(" "):
            word, resource = line.split("  ", 1)
            said.setdefault(word, []).append(resource.strip())
    return said


class TestOnTheEmulators:
    def test_a_dry_run_says_what_it_would_do_and_does_nothing(
        self, names: Names, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert provision(names, dry_run=True) == 0
        assert len(words(capsys.readouterr().out)["would create"]) == 4
        assert provision(names, check=True) == 1
        assert len(words(capsys.readouterr().out)["missing"]) == 4

    def test_a_second_run_finds_everything_as_it_should_be(
        self, names: Names, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert provision(names) == 0
        assert len(words(capsys.readouterr().out)["created"]) == 4
        assert provision(names, check=True) == 0
        assert provision(names) == 0
        said = words(capsys.readouterr().out)
        assert len(said["ok"]) == 8
        assert "created" not in said

    def test_what_was_made_is_what_was_asked_for(self, names: Names) -> None:
        assert provision(names, lease=45.0, max_delivery_attempts=9, min_backoff=3.0, max_backoff=33.0) == 0
        with SubscriberClient() as client:
            made = client.get_subscription(subscription=names.subscription)
            dead = client.get_subscription(subscription=names.dead_subscription)
        assert (
            made.filter == 'attributes.eventType = "OBJECT_FINALIZE" AND NOT hasPrefix(attributes.objectId, "output/")'
        )
        assert made.ack_deadline_seconds == 45
        assert made.dead_letter_policy.dead_letter_topic == names.dead_topic == dead.topic
        assert made.dead_letter_policy.max_delivery_attempts == 9
        assert made.retry_policy.minimum_backoff.total_seconds() == 3
        assert made.retry_policy.maximum_backoff.total_seconds() == 33
        for subscription in (made, dead):
            assert subscription.message_retention_duration.days == 7
            assert "expiration_policy" in subscription
            assert not subscription.expiration_policy.ttl
        assert not dead.filter

    def test_a_difference_is_named_by_check_and_mended_by_a_run(
        self, names: Names, capsys: pytest.CaptureFixture[str]
    ) -> None:
        # Given: somebody has changed the ack deadline and the attempts
        provision(names, lease=100.0, max_delivery_attempts=20)
        capsys.readouterr()

        # Then
        assert provision(names, check=True) == 1
        told = capsys.readouterr().out
        assert "ack deadline is 100 s, not 30 s" in told
        assert "max delivery attempts is 20, not 5" in told
        assert provision(names) == 0
        assert provision(names, check=True) == 0

    def test_what_an_emulator_cannot_change_is_said_and_the_rest_is_done(
        self, names: Names, capsys: pytest.CaptureFixture[str]
    ) -> None:
        # Given: a subscription of dead letters that expires, which the emulator cannot change
        topics = PublisherClient()
        for topic in (names.topic, names.dead_topic):
            topics.create_topic(name=topic)
        topics.stop()
        topics.transport.close()
        with SubscriberClient() as client:
            client.create_subscription(name=names.dead_subscription, topic=names.dead_topic)

        # When, then
        assert provision(names) == 0
        assert "expiration_policy field is currently unsupported in the Pub/Sub Emulator" in capsys.readouterr().out
        with SubscriberClient() as client:
            assert client.get_subscription(subscription=names.dead_subscription).ack_deadline_seconds == 30

    def test_another_filter_is_to_be_mended_by_hand(self, names: Names, capsys: pytest.CaptureFixture[str]) -> None:
        # Given: a subscription that somebody made without the filter
        provision(names)
        with SubscriberClient() as client:
            client.delete_subscription(subscription=names.subscription)
            client.create_subscription(name=names.subscription, topic=names.topic)
            capsys.readouterr()

            # Then: it is left as it is, until it is removed as was said
            assert provision(names) == 1
            told = capsys.readouterr().out
            assert "filter is none, not attributes.eventType" in told
            assert f"gcloud pubsub subscriptions delete {names.subscription}" in told
            client.delete_subscription(subscription=names.subscription)
        assert provision(names) == 0

    def test_fake_gcs_server_has_no_notifications_which_is_said(
        self,
        names: Names,
        storage_server: StorageServer,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", storage_server.url)
        bucket = f"flights-in-{uuid.uuid4().hex}"

        # A bucket is the choice of a person: where it lies, and what it costs
        assert provision(names, f"gs://{bucket}") == 2
        assert f"gcloud storage buckets create gs://{bucket}" in capsys.readouterr().err

        storage_server.make_bucket(bucket)
        assert provision(names, f"gs://{bucket}") == 0
        told = capsys.readouterr().out
        assert len(words(told)["created"]) == 4
        assert len(words(told)["skip"]) == 4
        assert "no notificationConfigs" in told
        assert "no permissions here" in told


PUBSUB_AGENT = "serviceAccount:service-41@gcp-sa-pubsub.iam.gserviceaccount.com"
STORAGE_AGENT = "serviceAccount:service-42@gs-project-accounts.iam.gserviceaccount.com"


class TestWithPermissionsAndNotifications:
    @pytest.fixture
    def policies(self, names: Names, pubsub_emulator: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Policies]:
        policies = Policies(pubsub_emulator)
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", policies.host)
        yield policies
        policies.close()

    @pytest.fixture
    def storage(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Notifying]:
        storage = Notifying()
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", storage.url)
        yield storage
        storage.close()

    def test_everything_is_made_and_then_as_it_should_be(
        self, names: Names, policies: Policies, storage: Notifying, capsys: pytest.CaptureFixture[str]
    ) -> None:
        # Given: a grant takes a moment to be known everywhere
        storage.ungranted = 1

        # When
        assert provision(names, "gs://flights-in", prefix="incoming/") == 0

        # Then: Google's own accounts may do what dead letters and notifications need, each in its project
        assert len(words(capsys.readouterr().out)["created"]) == 8
        assert policies.grants() == {
            (names.dead_topic, "roles/pubsub.publisher", PUBSUB_AGENT),
            (names.subscription, "roles/pubsub.subscriber", PUBSUB_AGENT),
            (names.topic, "roles/pubsub.publisher", STORAGE_AGENT),
        }
        # And: the bucket tells of new objects below the prefix, once
        [made] = storage.notifications
        assert made["topic"].endswith(names.topic)
        assert (made["event_types"], made["payload_format"]) == (["OBJECT_FINALIZE"], "JSON_API_V1")
        assert made["object_name_prefix"] == "incoming/"
        # And
        assert provision(names, "gs://flights-in", prefix="incoming/") == 0
        assert provision(names, "gs://flights-in", prefix="incoming/", check=True) == 0
        assert len(storage.notifications) == 1

    def test_check_names_a_grant_and_a_notification_that_are_gone(
        self, names: Names, policies: Policies, storage: Notifying, capsys: pytest.CaptureFixture[str]
    ) -> None:
        # Given
        provision(names, "gs://flights-in")
        del policies.policies[names.dead_topic]
        storage.notifications[0]["payload_format"] = "NONE"
        capsys.readouterr()

        # Then
        assert provision(names, "gs://flights-in", check=True) == 1
        told = capsys.readouterr().out
        assert words(told)["missing"] == [
            f"roles/pubsub.publisher on {names.dead_topic} for {PUBSUB_AGENT}",
            f"notification of gs://flights-in to {names.topic}",
        ]
        assert "payload is NONE, not JSON_API_V1" in told
        assert "notifications delete projects/_/buckets/flights-in/notificationConfigs/1" in told

    def test_grants_of_others_stay_also_those_made_meanwhile(
        self, names: Names, policies: Policies, storage: Notifying
    ) -> None:
        # Given: somebody grants something on the same topic between our look and our change
        ann = policy_pb2.Policy(version=3)
        ann.bindings.add(role="roles/pubsub.viewer", members=["user:ann@acme.org"]).condition.expression = "true"

        def interfere() -> None:
            policies.interfere = lambda: None
            policies.change(names.dead_topic, ann)

        policies.interfere = interfere

        # When
        assert provision(names, "gs://flights-in") == 0

        # Then: both stand, the condition too
        bindings = policies.policies[names.dead_topic].bindings
        assert [(each.role, each.condition.expression) for each in bindings] == [
            ("roles/pubsub.viewer", "true"),
            ("roles/pubsub.publisher", ""),
        ]

    def test_a_folder_and_a_queue_on_google_need_the_dead_letters_grants_alone(
        self, names: Names, policies: Policies, storage: Notifying
    ) -> None:
        assert provision(names) == 0
        assert {member for _, _, member in policies.grants()} == {PUBSUB_AGENT}
        assert storage.notifications == []
