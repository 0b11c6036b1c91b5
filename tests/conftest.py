"""Fixtures for every test."""

from __future__ import annotations

import os
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

LONG = 400  # seconds of a test's time-out

settings.register_profile("understudy", deadline=None)  # none of them is about time
settings.load_profile("understudy")


@pytest.fixture(autouse=True)
def log_of_its_own() -> Iterator[None]:
    """A program started inside a test sets up the log of this process, on a stream that ends with the test."""
    yield
    structlog.reset_defaults()


@pytest.hookimpl(trylast=True)  # once those that are not to run are out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each of pytest-xdist's processes begins with some of the longest tests, so that none of them is the last."""
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    longest = [item for item in items if (mark := item.get_closest_marker("timeout")) and mark.args[0] >= LONG]
    others = [item for item in items if item not in longest]
    share = -(-len(others) // processes)
    parts = (longest[n::processes] + others[n * share : (n + 1) * share] for n in range(processes))
    items[:] = [item for part in parts for item in part]
