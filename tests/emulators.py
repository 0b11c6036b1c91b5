"""The Pub/Sub emulator, found or started: a running one (PUBSUB_EMULATOR_HOST), else the Google Cloud CLI's own jar.

Where there is neither, tests are skipped, or with REQUIRE_EMULATORS=1 in the environment fail.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import NoReturn

import pytest

HOW_TO_GET_IT = (
    "the Pub/Sub emulator is not installed: `gcloud components install pubsub-emulator` (or the package"
    " google-cloud-cli-pubsub-emulator) and Java 17, or set PUBSUB_EMULATOR_HOST to a running one"
)


class PubSubEmulator:
    """The emulator, in memory, on one port of 127.0.0.1; `start` after `kill` finds everything gone."""

    def __init__(self, jar: Path) -> None:
        self._jar = jar
        self._process: subprocess.Popen[bytes] | None = None
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self._port: int = probe.getsockname()[1]

    @property
    def host(self) -> str:
        """What PUBSUB_EMULATOR_HOST is to say."""
        return f"127.0.0.1:{self._port}"

    def start(self) -> None:
        """Returns once it answers."""
        command = ["java", "-jar", str(self._jar), "--host=127.0.0.1", f"--port={self._port}"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        give_up = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
                return
            except OSError:
                # The process outlives a port that is taken, so only the port tells.
                assert time.monotonic() < give_up, "the Pub/Sub emulator does not listen"
                assert self._process.poll() is None, "the Pub/Sub emulator ended at once"
                time.sleep(0.05)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def installed_pubsub_emulator() -> PubSubEmulator:
    """The installed one, not started; ends the test where there is none."""
    jar = _find_jar()
    if jar is None or shutil.which("java") is None:
        missing(HOW_TO_GET_IT)
    return PubSubEmulator(jar)


def missing(reason: str) -> NoReturn:
    """Skips the test, or fails it where emulators are required."""
    if os.environ.get("REQUIRE_EMULATORS") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def _find_jar() -> Path | None:
    gcloud = shutil.which("gcloud")
    roots = [Path(gcloud).resolve().parents[1]] if gcloud else []
    roots += [Path("/usr/lib/google-cloud-sdk"), Path("/opt/google-cloud-sdk"), Path.home() / "google-cloud-sdk"]
    for root in roots:
        for jar in sorted(root.glob("platform/pubsub-emulator/lib/cloud-pubsub-emulator-*-all.jar"), reverse=True):
            return jar
    return None
