"""A registry of its own for each test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.adoption.logged import House
from tests.unit.registered import new_registry


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    uri = new_registry(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return House(uri, tmp_path)
