"""`python -m publisher provision` against the emulators, and with what they lack: permissions and notificationConfigs.

For these a server of the test's own stands before the Pub/Sub emulator: it keeps policies, and hands on all else.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from threading import Thread
from typing import Any

import grpc
import pytest
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient
from google.cloud.storage import Client
from google.iam.v1 import iam_policy_pb2, policy_pb2

from deploy.emulators import StorageEmulator, free_port
from publisher.provision import Provision
from tests.contract.queues import pubsub_emulator as pubsub_emulator
from transport.pubsub_names import Names

pytestmark = pytest.mark.emulator

_numbers = count()


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch, pubsub_emulator: str) -> Names:
    """Names that no other test uses, on the emulator."""
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", pubsub_emulator)
    return Names("acme-data", f"provision-{next(_numbers)}")


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
        self, names: Names, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        storage = StorageEmulator.installed()
        storage.start()
        try:
            monkeypatch.setenv("STORAGE_EMULATOR_HOST", storage.url)

            # A bucket is the choice of a person: where it lies, and what it costs
            assert provision(names, "gs://flights-in") == 2
            assert "gcloud storage buckets create gs://flights-in" in capsys.readouterr().err

            client = Client(project="acme-data")
            client.create_bucket("flights-in")
            client.close()
            assert provision(names, "gs://flights-in") == 0
        finally:
            storage.kill()
        told = capsys.readouterr().out
        assert len(words(told)["created"]) == 4
        assert len(words(told)["skip"]) == 4
        assert "no notificationConfigs" in told
        assert "no permissions here" in told


class Policies:
    """A gRPC server that keeps a policy for each resource, with etags, and hands all other calls on to the emulator.

    `interfere` is called before each change of a policy, as another's program might.
    """

    def __init__(self, emulator: str) -> None:
        self.policies: dict[str, policy_pb2.Policy] = {}
        self.interfere: Callable[[], None] = lambda: None
        self._channel = grpc.insecure_channel(emulator)
        self._server = grpc.server(ThreadPoolExecutor(4))
        self._server.add_generic_rpc_handlers([self])
        self.host = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def close(self) -> None:
        self._server.stop(None).wait()
        self._channel.close()

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        method = details.method
        if method == "/google.iam.v1.IAMPolicy/GetIamPolicy":
            return grpc.unary_unary_rpc_method_handler(
                self._get, iam_policy_pb2.GetIamPolicyRequest.FromString, policy_pb2.Policy.SerializeToString
            )
        if method == "/google.iam.v1.IAMPolicy/SetIamPolicy":
            return grpc.unary_unary_rpc_method_handler(
                self._set, iam_policy_pb2.SetIamPolicyRequest.FromString, policy_pb2.Policy.SerializeToString
            )
        return grpc.unary_unary_rpc_method_handler(
            lambda request, context: self._hand_on(method, request, context), None, None
        )

    def grants(self) -> set[tuple[str, str, str]]:
        return {
            (resource, binding.role, member)
            for resource, policy in self.policies.items()
            for binding in policy.bindings
            for member in binding.members
        }

    def change(self, resource: str, policy: policy_pb2.Policy) -> None:
        changed = policy_pb2.Policy()
        changed.CopyFrom(policy)
        changed.etag = str(next(_numbers)).encode()
        self.policies[resource] = changed

    def _get(self, request: Any, _context: grpc.ServicerContext) -> policy_pb2.Policy:
        assert request.options.requested_policy_version == 3
        return self.policies.get(request.resource, policy_pb2.Policy(etag=b"none yet"))

    def _set(self, request: Any, context: grpc.ServicerContext) -> policy_pb2.Policy:
        self.interfere()
        standing = self.policies.get(request.resource, policy_pb2.Policy(etag=b"none yet"))
        if request.policy.etag != standing.etag:
            context.abort(grpc.StatusCode.ABORTED, "there were concurrent policy changes")
        self.change(request.resource, request.policy)
        return self.policies[request.resource]

    def _hand_on(self, method: str, request: bytes, context: grpc.ServicerContext) -> bytes:
        metadata = [(key, value) for key, value in context.invocation_metadata() if key == "x-goog-request-params"]
        try:
            answer: bytes = self._channel.unary_unary(method)(request, metadata=metadata, timeout=30)
        except grpc.RpcError as error:
            context.abort(error.code(), error.details())
        return answer


class Notifying(ThreadingHTTPServer):
    """What Cloud Storage has besides objects: a bucket of project 42 with notifications, and the service agents.

    `ungranted`: how often making a notification is refused because a fresh grant is not known yet.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", free_port()), _Notifying)
        self.notifications: list[dict[str, Any]] = []
        self.ungranted = 0
        self.numbers = {"acme-data": 41, "42": 42}  # of projects, by name or number
        self.url = f"http://127.0.0.1:{self.server_port}"
        Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        self.shutdown()
        self.server_close()

    def answer(self, method: str, path: str, body: Any) -> tuple[int, object]:
        match (method, path.split("?")[0].removeprefix("/storage/v1/").split("/")):
            case "GET", ["b", "flights-in"]:
                return 200, {"name": "flights-in", "projectNumber": "42"}
            case "GET", ["projects", project, "serviceAccount"]:
                agent = f"service-{self.numbers[project]}@gs-project-accounts.iam.gserviceaccount.com"
                return 200, {"email_address": agent}
            case "GET", ["b", "flights-in", "notificationConfigs"]:
                return 200, {"items": self.notifications}
            case "POST", ["b", "flights-in", "notificationConfigs"]:
                if self.ungranted:
                    self.ungranted -= 1
                    return _error(403, f"The service account does not have permission to publish messages to {path}")
                self.notifications.append({**body, "id": str(len(self.notifications) + 1)})
                return 200, self.notifications[-1]
        return _error(404, f"nothing at {path}")


class _Notifying(BaseHTTPRequestHandler):
    server: Notifying

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        status, answer = self.server.answer(self.command, self.path, body)
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        pass


def _error(status: int, text: str) -> tuple[int, object]:
    return status, {"error": {"code": status, "message": text, "errors": [{"message": text, "reason": "forbidden"}]}}


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
