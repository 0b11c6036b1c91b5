"""A fresh, empty bucket of every adapter, for the contract suite and whoever else wants to run over both."""

from __future__ import annotations

import json
import shutil
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.emulators import StorageEmulator
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
