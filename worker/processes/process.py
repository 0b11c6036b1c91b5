"""A scoring process as its parent sees it: tasks go to it one at a time, and beside them versions to load."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import time
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from threading import Event, Lock, Thread
from typing import TypeVar

from edge.log import MayQuoteRows
from models.registry.client import FetchedVersion
from models.registry.spec import UnfitModel
from worker.processes.ending import STARTING
from worker.processes.scoring_process import Load, Task, serve

Result = TypeVar("Result")

TRIES = 3  # processes that may end while they load a version
ABANDONED_WITHIN_SECONDS = 0.2
GONE_WITHIN_SECONDS = 10.0  # once its pipe has broken; a process that takes longer to end is killed


class ScorerDied(Exception):
    """The process that had the task ended; nothing is known of the task."""


class NotBegun(ScorerDied):
    """The process ended before it had read the task, so the task is not the cause."""


class ScorerSlow(ScorerDied):
    """The process was ended because the task took too long."""


# Kinds of error whose text comes from us, the storage or a model, never from a file. Any other error may quote a file:
# Arrow, for one, quotes the line that it could not read.
_QUOTE_NO_ROW = {
    "BucketError",
    "AccessRefused",
    "NoSpace",
    "NameTooLong",
    "DamagedRead",
    "ObjectNotFound",
    "PreconditionFailed",
    "UnfitModel",
    "NothingToCompare",
    "Incomparable",
}


class TaskFailed(Exception):
    """The task raised; `kind` is the name of the exception's class."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text or kind)
        self.kind = kind


def kind_of(error: Exception) -> str:
    """The name of the error's class, in the process where it was raised."""
    return error.kind if isinstance(error, TaskFailed) else type(error).__name__


def for_logs(error: Exception) -> str:
    """The error's text as a log may take it: marked where it may quote what a row says."""
    if isinstance(error, TaskFailed) and error.kind not in _QUOTE_NO_ROW:
        return MayQuoteRows(error)
    return str(error)


class Abandoned(Exception):
    """The version is no longer wanted: its alias has moved on, or the worker ends."""


class ScoringProcess:
    """One process. A thread may have it `load` while another has it `run`; once it has died it waits for `mend`."""

    def __init__(self, bucket_url: str, log_level: str, niceness: int) -> None:
        self._arguments = (bucket_url, log_level, niceness)
        self._ended = False
        self._running, self._loading = Lock(), Lock()  # where both are held, `_running` was taken first
        self._requests = 0
        with STARTING:
            self._start()
        atexit.register(self.kill)  # before multiprocessing's own, which would wait for processes deaf to SIGTERM

    @property
    def pid(self) -> int:
        return self._process.pid or 0

    def run(self, task: Task[Result], timeout: float) -> Result:
        """Does a task within `timeout` seconds. Raises TaskFailed and ScorerDied; NotBegun where it never had the task.

        How that is known: where the process dies with the task unread in the pipe, Linux gives ECONNRESET here; once
        the task was read, the pipe just ends. On a system without this difference the task is blamed.
        """
        with self._running:
            try:
                self._tasks.send(task)
            except OSError:
                raise self._not_begun() from None
            if not wait([self._tasks, self._process.sentinel], timeout):
                self._end()
                raise ScorerSlow(
                    f"scoring took longer than {timeout:g} s and was ended;"
                    " UNDERSTUDY_SCORE_SECONDS and UNDERSTUDY_SHADOW_SECONDS move that limit"
                )
            try:
                done, answer = self._tasks.recv()
            except ConnectionResetError:
                raise self._not_begun() from None
            except (EOFError, OSError):
                raise ScorerDied(f"its scoring process {self._how_it_ended()}") from None
        if not done:
            raise TaskFailed(*answer)
        result: Result = answer
        return result

    def load(
        self, version: FetchedVersion, beside: FetchedVersion | None, timeout: float, abandoned: Event
    ) -> tuple[int, ...]:
        """Has the process load a version beside the one that it serves, and score its example; tasks go on meanwhile.

        Gives the sizes of the version's blocks.

        Raises UnfitModel where the version must not serve, Abandoned once `abandoned` is set. One death may have
        another cause (memory, a kill): the version is at fault only where it ends three processes, or takes too long.
        """
        deadline, tries_left = time.monotonic() + timeout, TRIES
        while True:
            try:
                return self._have_loaded(Load(version, beside), deadline, abandoned)
            except ScorerSlow:
                with self._running:  # what it has in hand is finished first
                    self._end()
                self.mend()
                raise UnfitModel(f"{version.spec}: it took longer than {timeout:g} s to load") from None
            except ScorerDied as error:
                tries_left -= 1
                if not tries_left:
                    raise UnfitModel(f"{version.spec}: {error} while it was loaded, three times") from None
                self.mend()

    def mend(self) -> None:
        """Starts a new process in place of one that has died."""
        with self._running, self._loading, STARTING:
            if self._ended or not self._has_died():
                return
            self._tasks.close()
            self._loads.close()
            self._start()

    def kill(self) -> None:
        """Ends it at once and for good; a task under way raises ScorerDied."""
        self._ended = True
        with STARTING:  # one that another thread is starting in its place is ended too
            self._end()
        atexit.unregister(self.kill)

    def _have_loaded(self, load: Load, deadline: float, abandoned: Event) -> tuple[int, ...]:
        with self._loading:
            self._requests += 1
            try:
                self._loads.send((self._requests, load))
                while (left := deadline - time.monotonic()) > 0:
                    if abandoned.is_set():
                        raise Abandoned(str(load.version.spec))
                    ready = wait([self._loads, self._process.sentinel], min(left, ABANDONED_WITHIN_SECONDS))
                    if self._loads in ready:
                        request, answer = self._loads.recv()
                        if request != self._requests:
                            continue  # the answer about a version that was abandoned
                        if isinstance(answer, str):
                            raise UnfitModel(answer)
                        sizes: tuple[int, ...] = answer
                        return sizes
                    if ready:
                        raise EOFError
            except (EOFError, OSError):
                raise ScorerDied(f"its process {self._how_it_ended()}") from None
        raise ScorerSlow

    def _not_begun(self) -> NotBegun:
        return NotBegun(f"its scoring process {self._how_it_ended()} before the file was begun")

    def _has_died(self) -> bool:
        # `is_alive` alone is wrong about a process that another thread is just reaping, or that others have reaped.
        return not self._process.is_alive() or bool(wait([self._process.sentinel], 0))

    def _how_it_ended(self) -> str:
        """To be called once a pipe has broken: the process is ending."""
        if self._process.pid is None:
            return f"could not be started ({self._not_started})"
        self._process.join(GONE_WITHIN_SECONDS)
        if not self._has_died():
            self._end()
        code = self._process.exitcode
        if code is None:
            return "ended"  # another thread of ours has just reaped it, and not yet written down how
        if code < 0:
            return f"was killed by {signal.Signals(-code).name}" + (" (out of memory?)" if code == -9 else "")
        return f"ended with exit status {code}"

    def _start(self) -> None:
        """The caller holds `STARTING`. A process that cannot be started counts as one that died."""
        context = get_context("spawn")
        self._tasks, tasks = context.Pipe()
        self._loads, loads = context.Pipe()
        self._process = context.Process(target=serve, args=(tasks, loads, *self._arguments), daemon=True)
        # A thread takes on the niceness and starts the process, which inherits it: importing is work too.
        starter = Thread(target=self._start_niced, name="start")
        starter.start()
        starter.join()
        tasks.close()
        loads.close()

    def _start_niced(self) -> None:
        if sys.platform == "linux":  # where niceness is a thread's own, and inherited
            os.nice(self._arguments[2])
        try:
            self._process.start()
        except OSError as error:
            self._not_started = error

    def _end(self) -> None:
        if self._process.pid is not None:
            self._process.kill()
            self._process.join()

    _process: SpawnProcess
    _tasks: Connection
    _loads: Connection
    _not_started: OSError | None = None
