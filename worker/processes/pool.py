"""Scoring processes of one version, each with one task at a time; the next version gets new processes.

A process that dies or hangs loses its task, and is replaced.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from queue import Empty, SimpleQueue
from threading import Event, Lock, Thread
from typing import TypeVar

import structlog

from models.registry.client import FetchedVersion
from models.registry.spec import ModelSpec, UnfitModel
from worker.processes.describe import Describe, read_in
from worker.processes.process import Abandoned, NotBegun, ScorerDied, ScoringProcess
from worker.processes.scoring_process import NICENESS_OF_LOADING, Task

log = structlog.get_logger()

TRIES = 3  # processes that may end, one after the other, before they have begun a task

Result = TypeVar("Result")


class Pool:
    """`size` scoring processes on one bucket, once a version serves. Any number of threads may call `run`.

    A version is read and tried in a process at low priority, which ends then, and loaded in new processes. Once the
    version serves, these do the tasks, and each old process ends after the task that it has.

    `load_seconds`: how long one process may take to load a version.
    """

    def __init__(self, size: int, bucket_url: str, *, log_level: str = "info", load_seconds: float = 600.0) -> None:
        self._size = size
        self._arguments = (bucket_url, log_level)
        self._load_seconds = load_seconds
        self._serving: FetchedVersion | None = None
        self._ended = False
        self._changing = Lock()
        self._living: set[ScoringProcess] = set()
        self._reader: ScoringProcess | None = None  # has read a description, and waits for the trial
        self._coming: dict[int, list[ScoringProcess]] = {}  # by the `id` of the version that they have loaded
        self._all: list[ScoringProcess] = []  # that serve
        self._idle: SimpleQueue[ScoringProcess] = SimpleQueue()

    @property
    def pids(self) -> list[int]:
        """Process ids of the scoring processes that serve now."""
        return [process.pid for process in self._all]

    def run(self, task: Task[Result], timeout: float) -> Result:
        """Does a task in a free process, within `timeout` seconds. Raises TaskFailed and ScorerDied."""
        return self.run_next(lambda: task, timeout)

    def run_next(self, make: Callable[[], Task[Result]], timeout: float) -> Result:
        """Like `run`, with a task that is made once a process is free for it, for the version that serves then.

        Where a process ends before it has begun its task, the task is not at fault: it is made again for another
        process, at most TRIES times, with `timeout` seconds each.
        """
        process = self._idle.get()
        try:
            result = self._try(process, make, timeout)
        except ScorerDied:
            Thread(target=self._replace, args=(process,), daemon=True, name="replace").start()
            raise
        except BaseException:
            self._release(process)
            raise
        self._release(process)
        return result

    def read(self, mlmodel: bytes, name: str, version: str) -> ModelSpec:
        """What an `MLmodel` file says. Raises UnfitModel, and ScorerDied where the process ended over it."""
        process = self._reader_or_new()
        try:
            spec = read_in(process, Describe(mlmodel, name, version))
        except BaseException:
            self._end(process)
            raise
        with self._changing:
            before, self._reader = self._reader, process
        if before is not None:
            self._end(before)
        return spec

    def prepare(self, version: FetchedVersion, abandoned: Event) -> FetchedVersion:
        """Tries a version, then loads it in new processes; gives the version with its blocks.

        Half of the processes load at once, which leaves most of the machine to the tasks. Raises UnfitModel where the
        version must not serve, and Abandoned.
        """
        made = [self._reader_or_new()]

        def add_one(_: int) -> None:
            process = self._start()
            made.append(process)
            process.load(tried, self._load_seconds, abandoned)

        try:
            tried = replace(version, blocks=made[0].load(version, self._load_seconds, abandoned))
            log.info("version tried", version=version.spec.version, blocks=list(tried.blocks or ()))
            self._end(made.pop())
            with ThreadPoolExecutor((self._size + 1) // 2, thread_name_prefix="load") as threads:
                list(threads.map(add_one, range(self._size)))
        except BaseException:
            self._end(*made)
            if self._ended:
                raise Abandoned(str(version.spec)) from None
            raise
        self._coming[id(tried)] = made
        return tried

    def serve(self, version: FetchedVersion | None) -> None:
        """From now on the tasks are about this version, as `prepare` gave it. None: no new tasks will come."""
        idle = []
        with self._changing:
            self._serving = version
            made = self._coming.pop(id(version), None)
            if made is not None:
                self._all = made
                with suppress(Empty):
                    while True:
                        idle.append(self._idle.get_nowait())
                for process in made:
                    self._idle.put(process)
        self._end(*idle)

    def drop(self, version: FetchedVersion) -> None:
        """Ends the processes that `prepare` has made for this version, unless it serves."""
        self._end(*self._coming.pop(id(version), ()))

    def kill(self) -> None:
        """Ends all processes at once and for good; tasks under way raise ScorerDied."""
        self._ended = True
        self._end(*self._living)

    def _start(self, niceness: int = 0) -> ScoringProcess:
        process = ScoringProcess(*self._arguments, niceness)
        self._living.add(process)
        if self._ended:
            self._end(process)
        return process

    def _end(self, *processes: ScoringProcess) -> None:
        for process in processes:
            self._living.discard(process)
            process.kill()

    def _reader_or_new(self) -> ScoringProcess:
        with self._changing:
            reader, self._reader = self._reader, None
        return reader or self._start(NICENESS_OF_LOADING)

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

    def _release(self, process: ScoringProcess) -> None:
        """Gives the process its next task, or ends it where its version serves no longer."""
        with self._changing:
            serves = process in self._all
            if serves:
                self._idle.put(process)
        if not serves:
            self._end(process)

    def _replace(self, process: ScoringProcess) -> None:
        """Puts a new process to work in place of a dead one."""
        try:
            if process in self._all:
                self._mend(process)
        finally:
            self._release(process)

    def _mend(self, process: ScoringProcess) -> None:
        """Starts a process in place of a dead one, and has it load what the others serve."""
        try:
            process.mend()
            if self._serving is not None:
                process.load(self._serving, self._load_seconds, Event())
        except UnfitModel as error:  # its next task gets the same error
            if not self._ended:
                log.warning(
                    "scoring process without a model", error=str(error), consequence="its next file is not scored"
                )
