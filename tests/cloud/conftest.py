"""Fixtures of the tests on Google's emulators."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.emulators import NotInstalled, StorageEmulator
from tests.cloud.house import House, notifications_to
from tests.contract.queues import queues as queues
from tests.emulators import missing
from tests.registry import copy_registry


@pytest.fixture
def house(
    tmp_path: Path,
    tiny_registry: str,
    model_cache: Path,
    pubsub_emulator: str,
    pubsub_project: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[House]:
    """A bucket and a project on the emulators; nothing is provisioned and no program runs yet.

    The storage server is the test's own: it tells one topic of its objects, which it is given at its start. That takes
    a tenth of a second, where the Pub/Sub emulator takes seconds.
    """
    try:
        storage = StorageEmulator.installed(notifications_to(pubsub_emulator, pubsub_project), tmp_path / "storage.log")
    except NotInstalled as error:
        missing(str(error))
    try:
        storage.start()
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", storage.url)
        registry = copy_registry(tiny_registry, tmp_path)
        with House(tmp_path, registry, model_cache, pubsub_emulator, pubsub_project, storage) as house:
            yield house
    finally:
        storage.kill()
