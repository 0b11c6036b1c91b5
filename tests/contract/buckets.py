"""A fresh, empty bucket of every adapter, for the contract suite and whoever else wants to run over both."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.emulators import StorageServer
from transport.bucket import Bucket
from transport.open import open_bucket

EMULATOR_IGNORES_PRECONDITIONS = pytest.param(
    "gcs",
    marks=pytest.mark.skip(
        reason="fake-gcs-server ignores preconditions on rewrites, on uploads in parts (over 8 MiB) and on deletes; "
        "Cloud Storage enforces them"
    ),
)


@dataclass(frozen=True)
class Place:
    """An empty bucket somewhere: `open` gives the adapter, `vanish` takes the bucket itself away."""

    url: str
    vanish: Callable[[], None]

    def open(self) -> Bucket:
        return open_bucket(self.url)


@pytest.fixture(params=["folder", "gcs"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A fresh bucket of each adapter in turn."""
    if request.param == "folder":
        folder = tmp_path / "bucket"
        return Place(str(folder), lambda: shutil.rmtree(folder))
    server: StorageServer = request.getfixturevalue("storage_server")
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
    name = f"b{time.time_ns()}"
    server.make_bucket(name)
    return Place(f"gs://{name}", lambda: server.remove_bucket(name))


@pytest.fixture
def bucket(place: Place) -> Iterator[Bucket]:
    """A fresh bucket of each adapter in turn, opened."""
    opened = place.open()
    yield opened
    opened.close()
