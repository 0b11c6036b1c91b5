"""Scoring processes, one task at a time each. One that dies or hangs costs its task and is replaced."""

from __future__ import annotations

import atexit
import signal
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from queue import SimpleQueue
from threading import Event
from typing import TypeVar

from models.registry import FetchedVersion
from models.spec import UnfitModel
from worker.scoring_process import Prepare, Task, serve

Result = TypeVar("Result")


class ScorerDied(Exception):
    """The process that had the task ended; nothing is known of the task."""


class ScorerSlow(ScorerDied):
    """The process was ended because the task took too long."""


class TaskFailed(Exception):
    """The task raised; `kind` is the name of the exception's class."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text or kind)
        self.kind = kind


class Pool:
    """`size` scoring processes on one bucket. Any number of threads may call `run`; each waits for a free process."""

    def __init__(self, size: int, bucket_url: str, *, log_level: str = "info", niceness: int = 0) -> None:
        self._arguments = (bucket_url, log_level, niceness)
        self._closed = Event()
        self._all: list[_Process] = [_Process(self._arguments) for _ in range(size)]
        self._idle: SimpleQueue[_Process] = SimpleQueue()
        for process in self._all:
            self._idle.put(process)
        atexit.register(self.kill)  # before multiprocessing's own, which would wait for processes deaf to SIGTERM

    @property
    def pids(self) -> list[int]:
        """Process ids of the scoring processes that live now."""
        return [process.pid for process in self._all]

    def run(self, task: Task[Result], timeout: float) -> Result:
        """Does a task in a free process, within `timeout` seconds. Raises TaskFailed and ScorerDied."""
        process = self._idle.get()
        try:
            return process.run(task, timeout)
        except ScorerDied:
            if not self._closed.is_set():
                process.restart()
            raise
        finally:
            self._idle.put(process)

    def kill(self) -> None:
        """Ends all processes at once; tasks under way raise ScorerDied."""
        self._closed.set()
        for process in self._all:
            process.kill()
        atexit.unregister(self.kill)


def prepare(pool: Pool, version: FetchedVersion, timeout: float) -> None:
    """Has a process of the pool load a version and score its example. Raises UnfitModel where it must not serve.

    A process may die of what others do (memory, a kill); only a version that ends three of them is at fault.
    """
    for last in (False, False, True):
        try:
            pool.run(Prepare(version), timeout)
        except (ScorerDied, TaskFailed) as error:
            if last or type(error) is not ScorerDied:
                raise UnfitModel(f"{version.spec}: {error}") from None
        else:
            return


class _Process:
    def __init__(self, arguments: tuple[str, str, int]) -> None:
        self._arguments = arguments
        self._process, self._connection = _start(arguments)

    @property
    def pid(self) -> int:
        return self._process.pid or 0

    def run(self, task: Task[Result], timeout: float) -> Result:
        try:
            self._connection.send(task)
        except OSError:
            raise ScorerDied(f"its scoring process {self._why()} before the file was begun") from None
        if not wait([self._connection, self._process.sentinel], timeout):
            self.kill()
            raise ScorerSlow(f"scoring took longer than {timeout:g} s and was ended")
        try:
            done, answer = self._connection.recv()
        except (EOFError, OSError):
            raise ScorerDied(f"its scoring process {self._why()}") from None
        if not done:
            raise TaskFailed(*answer)
        result: Result = answer
        return result

    def restart(self) -> None:
        self.kill()
        self._connection.close()
        self._process, self._connection = _start(self._arguments)

    def kill(self) -> None:
        self._process.kill()
        self._process.join()

    def _why(self) -> str:
        self._process.join(1)
        code = self._process.exitcode
        if code is not None and code < 0:
            return f"was killed by {signal.Signals(-code).name}" + (" (out of memory?)" if code == -9 else "")
        return f"ended with exit status {code}"


def _start(arguments: tuple[str, str, int]) -> tuple[SpawnProcess, Connection]:
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, *arguments), daemon=True, name="scoring")
    process.start()
    theirs.close()
    return process, ours
