"""Programs of this project as processes of this machine: started with a log file each, ended by their pid."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
END_SECONDS = 40.0  # a worker's drain, and some


@dataclass(frozen=True)
class Program:
    """`python -m` with arguments, and what it finds in its environment besides ours."""

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str]

    def start(self, folder: Path) -> subprocess.Popen[bytes]:
        """Starts it in a session of its own: a Ctrl-C on this terminal is ours to pass on. Logs go to `folder`."""
        with (folder / f"{self.name}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", *self.arguments],
                cwd=ROOT,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )


def end(processes: Mapping[str, subprocess.Popen[bytes]]) -> dict[str, int]:
    """Ends our children with SIGTERM, and SIGKILL after END_SECONDS; gives their exit statuses."""
    for process in processes.values():
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + END_SECONDS
    for process in processes.values():
        try:
            process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    return {name: process.returncode for name, process in processes.items()}


@contextmanager
def uninterrupted() -> Iterator[None]:
    """SIGINT and SIGTERM wait until the block ends: what is being taken down is taken down whole."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def remember(folder: Path, name: str, pid: int) -> None:
    """Leaves a pid for a later `still_running`."""
    (folder / f"{name}.pid").write_text(str(pid))


def still_running(folder: Path) -> dict[str, int]:
    """The pids left in `folder` whose processes live and are ours: a pid may long be another program's."""
    found = {}
    for file in sorted(folder.glob("*.pid")):
        pid = int(file.read_text())
        if str(ROOT) in _command_line(pid):
            found[file.stem] = pid
        else:
            file.unlink()
    return found


def end_pids(pids: Mapping[str, int]) -> None:
    """Ends processes that are not our children: SIGTERM, and SIGKILL after END_SECONDS."""
    for pid in pids.values():
        _signal(pid, signal.SIGTERM)
    deadline = time.monotonic() + END_SECONDS
    while any(_command_line(pid) for pid in pids.values()) and time.monotonic() < deadline:
        time.sleep(0.1)
    for pid in pids.values():
        if _command_line(pid):
            _signal(pid, signal.SIGKILL)


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(pid, number) if number == signal.SIGKILL else os.kill(pid, number)


def _command_line(pid: int) -> str:
    """The command line of a living process, else "" (`ps` knows it on every system)."""
    asked = subprocess.run(["ps", "-p", str(pid), "-o", "stat=,args="], capture_output=True, text=True, check=False)
    line = asked.stdout.strip()
    return "" if line.startswith("Z") else line
