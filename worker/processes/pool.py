"""Scoring processes, each with one task at a time. A process that dies or hangs loses its task, and is replaced."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from threading import Event, Thread
from typing import TypeVar

import structlog

from models.registry.client import FetchedVersion
from models.registry.spec import UnfitModel
from worker.processes.process import NotBegun, ScorerDied, ScoringProcess
from worker.processes.scoring_process import Task

log = structlog.get_logger()

TRIES = 3  # processes that may end, one after the other, before they have begun a task

Result = TypeVar("Result")


class Pool:
    """`size` scoring processes on one bucket. Any number of threads may call `run`; each waits for a free process.

    `load_seconds`: how long one process may take to load a version.
    """

    def __init__(
        self, size: int, bucket_url: str, *, log_level: str = "info", niceness: int = 0, load_seconds: float = 600.0
    ) -> None:
        self._load_seconds = load_seconds
        self._serving: FetchedVersion | None = None
        self._ended = False
        self._all = [ScoringProcess(bucket_url, log_level, niceness) for _ in range(size)]
        self._idle: SimpleQueue[ScoringProcess] = SimpleQueue()
        for process in self._all:
            self._idle.put(process)

    @property
    def pids(self) -> list[int]:
        """Process ids of the scoring processes that live now."""
        return [process.pid for process in self._all]

    @property
    def serving(self) -> FetchedVersion | None:
        """The version that the tasks are about, as `serve` said last."""
        return self._serving

    def run(self, task: Task[Result], timeout: float) -> Result:
        """Does a task in a free process, within `timeout` seconds. Raises TaskFailed and ScorerDied."""
        return self.run_next(lambda: task, timeout)

    def run_next(self, make: Callable[[], Task[Result]], timeout: float) -> Result:
        """Like `run`, with a task that is made once a process is free for it.

        So each process gets tasks in the order in which their versions were in force, and may drop a version as soon as
        a task needs the next one. Where a process ends before it has begun its task, the task is not at fault: it is
        made again for another process, at most TRIES times, with `timeout` seconds each.
        """
        process = self._idle.get()
        try:
            result = self._try(process, make, timeout)
        except ScorerDied:
            Thread(target=self._replace, args=(process,), daemon=True, name="replace").start()
            raise
        except BaseException:
            self._idle.put(process)
            raise
        self._idle.put(process)
        return result

    def _try(self, process: ScoringProcess, make: Callable[[], Task[Result]], timeout: float) -> Result:
        tries_left = TRIES
        while True:
            try:
                return process.run(make(), timeout)
            except NotBegun as error:
                tries_left -= 1
                if self._ended or not tries_left:
                    raise
                log.warning(
                    "scoring process replaced before its task",
                    error=str(error),
                    tries_left=tries_left,
                    consequence="another gets the same file; it costs no attempt",
                )
            self._mend(process)

    def load(self, version: FetchedVersion, abandoned: Event) -> tuple[int, ...]:
        """Has every process load a version beside the one that it serves, and score its example; tasks go on meanwhile.

        Gives the sizes of blocks that every process found, or was told of.

        Half of the processes load at once, which leaves most of the machine to the tasks. Raises UnfitModel and
        Abandoned as soon as one process does.
        """
        threads = ThreadPoolExecutor((len(self._all) + 1) // 2, thread_name_prefix="load")
        try:
            loads = [
                threads.submit(process.load, version, self._serving, self._load_seconds, abandoned)
                for process in self._all
            ]
            first, *others = [load.result() for load in loads]
            return tuple(size for size in first if all(size in other for other in others))
        finally:
            threads.shutdown(wait=False, cancel_futures=True)

    def serve(self, version: FetchedVersion | None) -> None:
        """From now on the tasks are about this version: a process that replaces a dead one loads it first."""
        self._serving = version

    def kill(self) -> None:
        """Ends all processes at once and for good; tasks under way raise ScorerDied."""
        self._ended = True
        for process in self._all:
            process.kill()

    def _replace(self, process: ScoringProcess) -> None:
        """Puts a new process to work in place of a dead one."""
        try:
            self._mend(process)
        finally:
            self._idle.put(process)

    def _mend(self, process: ScoringProcess) -> None:
        """Starts a process in place of a dead one, and has it load what the others serve."""
        try:
            process.mend()
            if self._serving is not None:
                process.load(self._serving, None, self._load_seconds, Event())
        except UnfitModel as error:  # its next task gets the same error
            if not self._ended:
                log.warning(
                    "scoring process without a model", error=str(error), consequence="its next file is not scored"
                )
