"""The emulators for tests: where one is missing, tests are skipped, or with REQUIRE_EMULATORS=1 fail."""

from __future__ import annotations

import json
import os
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

import pytest

from deploy.emulators import NotInstalled, PubSubEmulator, StorageEmulator


def installed_pubsub_emulator() -> PubSubEmulator:
    """The installed one, not started; ends the test where there is none."""
    try:
        return PubSubEmulator.installed()
    except NotInstalled as error:
        missing(str(error))


def missing(reason: str) -> NoReturn:
    """Skips the test, or fails it where emulators are required."""
    if os.environ.get("REQUIRE_EMULATORS") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def pubsub_emulator() -> Iterator[str]:
    """The host and port of a Pub/Sub emulator that all tests share, each with a project of its own."""
    if host := os.environ.get("PUBSUB_EMULATOR_HOST"):
        yield host
        return
    emulator = installed_pubsub_emulator()
    emulator.start()
    yield emulator.host
    emulator.kill()


@pytest.fixture
def mortal_emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[PubSubEmulator]:
    """A Pub/Sub emulator of the test's own, which it may kill and start again; the environment names it."""
    emulator = installed_pubsub_emulator()
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", emulator.host)
    emulator.start()
    yield emulator
    emulator.kill()


@pytest.fixture
def pubsub_project(pubsub_emulator: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A project that no other test uses, on the emulator, which the environment names; emptied in the end."""
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", pubsub_emulator)
    project = f"test-{uuid.uuid4().hex}"
    yield project
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", pubsub_emulator)  # whatever the test has made of it
    empty_project(project)


def empty_project(project: str) -> None:
    """Removes every subscription and topic, and with them the messages that the emulator would keep for days."""
    from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient  # half a second that most tests need not wait

    with SubscriberClient() as subscriber:
        for subscription in subscriber.list_subscriptions(project=f"projects/{project}"):
            subscriber.delete_subscription(subscription=subscription.name)
    publisher = PublisherClient()
    for topic in publisher.list_topics(project=f"projects/{project}"):
        publisher.delete_topic(topic=topic.name)
    publisher.stop()
    publisher.transport.close()


@dataclass(frozen=True)
class StorageServer:
    """A running fake-gcs-server; `url` is what STORAGE_EMULATOR_HOST is to say."""

    url: str

    def make_bucket(self, name: str) -> None:
        self._call("POST", "/storage/v1/b?project=test", {"name": name})

    def remove_bucket(self, name: str) -> None:
        self._call("DELETE", f"/storage/v1/b/{name}")

    def _call(self, method: str, path: str, body: object = None) -> None:
        data = json.dumps(body).encode() if body is not None else None
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, data=data, method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=10):
            pass


@pytest.fixture(scope="session")
def storage_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StorageServer]:
    """fake-gcs-server out of its wheel, on a free port of 127.0.0.1, in memory."""
    server = StorageEmulator.installed(log=tmp_path_factory.mktemp("storage") / "log")
    server.start()
    try:
        yield StorageServer(server.url)
    finally:
        server.kill()
