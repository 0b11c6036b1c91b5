"""Fixtures for every test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog
from hypothesis import settings

from tests.emulators import mortal_emulator as mortal_emulator
from tests.emulators import pubsub_emulator as pubsub_emulator
from tests.emulators import pubsub_project as pubsub_project
from tests.emulators import storage_server as storage_server
from tests.registry import model_cache as model_cache
from tests.registry import tiny_registry as tiny_registry

LONG = 900  # seconds of a test's time-out

settings.register_profile("understudy", deadline=None)  # none of them is about time
settings.load_profile("understudy")


@pytest.fixture(autouse=True)
def log_of_its_own() -> Iterator[None]:
    """A program started inside a test sets up the log of this process, on a stream that ends with the test."""
    yield
    structlog.reset_defaults()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest tests come first, so that none is begun when all others are done."""
    items.sort(key=lambda item: (mark := item.get_closest_marker("timeout")) is None or mark.args[0] < LONG)
