"""Fixtures of the tests of swaps: real registries, real programs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.chaos.understudy import STEADY, Running
from tests.hotswap.registries import DatabaseRegistry, ServedRegistry


@pytest.fixture
def database(tmp_path: Path) -> DatabaseRegistry:
    return DatabaseRegistry(tmp_path)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[ServedRegistry]:
    with ServedRegistry(tmp_path) as served:
        yield served


@pytest.fixture(params=["database", "served"])
def registry(request: pytest.FixtureRequest) -> DatabaseRegistry | ServedRegistry:
    """Either."""
    made: DatabaseRegistry | ServedRegistry = request.getfixturevalue(request.param)
    return made


@pytest.fixture
def following(tmp_path: Path) -> Iterator[Callable[[str], Running]]:
    """Running programs around a registry, given its address; nothing runs yet, the cache is empty."""
    with ExitStack() as stack:
        yield lambda uri: stack.enter_context(Running(tmp_path, uri, tmp_path / "cache", STEADY))
