"""Fixtures of the chaos tests: the running programs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.understudy import Running
from tests.registry import copy_registry


@pytest.fixture
def running(tmp_path: Path, tiny_registry: str, model_cache: Path) -> Iterator[Running]:
    """Nothing runs yet; the registry is the test's own."""
    with Running(tmp_path, copy_registry(tiny_registry, tmp_path), model_cache) as running:
        yield running
