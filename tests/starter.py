"""Starts programs off a process that has imported MLflow and its like once: that is three seconds of each start.

What `start` gives is a process of its own that runs `python -m PROGRAM` from its first line, in the given folder and
environment; it shares nothing with another but imported libraries. Nothing of this house is imported beforehand. What
comes through `exec` alone (LD_PRELOAD) is started by `subprocess.Popen`.
"""

from __future__ import annotations

import atexit
import json
import os
import runpy
import signal
import site
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, Protocol

LIBRARIES = (
    "mlflow",
    "mlflow.store.model_registry.sqlalchemy_store",
    "mlflow.store.tracking.sqlalchemy_store",
    "google.cloud.pubsub_v1",
    "pydantic_settings",
    "pyarrow.csv",
    "structlog",
)
SO_LARGE = 1 << 16  # bytes of one request
ROOT = Path(__file__).parents[1]
always_by_exec = False  # where how fast a program starts is measured


def start(
    command: Sequence[str], *, folder: Path, environment: Mapping[str, str], log: Path, by_exec: bool = False
) -> Process:
    """`python -m` of the command (a program and its options), in a session of its own; it writes to `log`."""
    if not (by_exec or always_by_exec or "LD_PRELOAD" in environment):
        return starter().start(command, folder, environment, log)
    with log.open("wb") as out:
        return subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )


class Process(Protocol):
    """What tests use of `subprocess.Popen`."""

    @property
    def pid(self) -> int: ...
    @property
    def returncode(self) -> int | Any: ...  # Any: as typeshed has it
    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, sig: int) -> None: ...


class Started:
    """A program that the starter has made. It is there, if only as a zombie, until it has been asked for its status."""

    def __init__(self, starter: Starter, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._starter, self._asking = starter, threading.Lock()
        self._handle = os.pidfd_open(pid)

    def poll(self) -> int | None:
        return self._ended_within(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """The exit status; minus the signal's number where one has killed it. Raises subprocess.TimeoutExpired."""
        status = self._ended_within(timeout)
        if status is None:
            raise subprocess.TimeoutExpired([str(self.pid)], timeout or 0.0)
        return status

    def send_signal(self, sig: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, sig)

    def _ended_within(self, seconds: float | None) -> int | None:
        with self._asking:
            if self.returncode is None and wait([self._handle], seconds):
                self.returncode = self._starter.ask({"ended": self.pid})
                os.close(self._handle)
            return self.returncode


class Starter:
    """The process that has the libraries; it and all that it has started end with this one."""

    def __init__(self) -> None:
        self._asking = threading.Lock()
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.starter", str(theirs.fileno())],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": "", "OMP_NUM_THREADS": "1", "MLFLOW_DISABLE_TELEMETRY": "true"},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        atexit.register(self._end)

    def start(self, command: Sequence[str], folder: Path, environment: Mapping[str, str], log: Path) -> Started:
        request = {"command": list(command), "folder": str(folder), "environment": dict(environment), "log": str(log)}
        return Started(self, self.ask(request))

    def ask(self, request: Mapping[str, Any]) -> int:
        with self._asking:
            self._socket.send(json.dumps(request).encode())
            return int(self._socket.recv(SO_LARGE))

    def _end(self) -> None:
        self._socket.close()
        self._process.wait()


@cache
def starter() -> Starter:
    """The one of this process."""
    return Starter()


def serve(requests: socket.socket) -> tuple[str, Sequence[str]]:
    """Answers until the other end closes. Returns in each process that is to become a program: its name and options."""
    started: set[int] = set()
    while packet := requests.recv(SO_LARGE):
        request = json.loads(packet)
        if pid := request.get("ended"):
            answer(requests, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
            started.remove(pid)
        elif pid := os.fork():
            started.add(pid)
        else:
            program, *options = become(request)
            with requests:
                answer(requests, os.getpid())
            return program, options
    for pid in started:
        os.kill(pid, signal.SIGKILL)
    sys.exit()


def answer(requests: socket.socket, number: int) -> None:
    requests.send(str(number).encode())


def become(request: Mapping[str, Any]) -> Sequence[str]:
    """Takes on all that `exec` would have brought; gives the command."""
    os.setsid()
    os.chdir(request["folder"])
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    for number in (1, 2):
        os.dup2(log, number)
    os.close(log)
    os.environ.clear()
    os.environ.update(request["environment"])
    before = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:] = [request["folder"], *before, *(path for path in sys.path if Path(path) != ROOT)]
    site.execsitecustomize()
    tempfile.tempdir = None  # TMPDIR is another now
    time.tzset()
    command: Sequence[str] = request["command"]
    return command


if __name__ == "__main__":
    for library in LIBRARIES:
        import_module(library)
    assert threading.active_count() == 1, threading.enumerate()  # no program would have the others
    name, sys.argv[1:] = serve(socket.socket(fileno=int(sys.argv[1])))
    runpy.run_module(name, run_name="__main__", alter_sys=True)
