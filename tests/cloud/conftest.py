"""Fixtures of the tests on Google's emulators."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.emulators import NotInstalled, PubSubEmulator, StorageEmulator
from tests.cloud.house import House, notifications_to
from tests.contract.queues import queues as queues
from tests.emulators import missing
from tests.registry import copy_registry


@pytest.fixture
def house(tmp_path: Path, tiny_registry: str, model_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """Both emulators, a bucket and a topic; nothing is provisioned and no program runs yet."""
    try:
        pubsub = PubSubEmulator.installed(tmp_path / "pubsub.log")
        storage = StorageEmulator.installed(notifications_to(pubsub), tmp_path / "storage.log")
    except NotInstalled as error:
        missing(str(error))
    try:
        pubsub.start()
        storage.start()
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", pubsub.host)
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", storage.url)
        with House(tmp_path, copy_registry(tiny_registry, tmp_path), model_cache, pubsub, storage) as house:
            yield house
    finally:
        storage.kill()
        pubsub.kill()
