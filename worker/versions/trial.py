"""The trial of a version, in a process of its own: it reads the description, loads the graph and scores the example."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from threading import Event, Lock

import structlog

from models.registry.client import FetchedVersion
from models.registry.spec import ModelSpec, UnfitModel
from worker.processes.pool import Pool
from worker.processes.process import ScoringProcess, TaskFailed
from worker.processes.scoring_process import NICENESS_OF_LOADING
from worker.versions.describe import READ_SECONDS, Describe

log = structlog.get_logger()


@dataclass
class Trial:
    """Reads and loads versions in a process where a crash, a hang or a wrong answer does no harm.

    A version that passed is remembered with the sizes of its blocks, so that the serving processes need not try them.
    Threads may share a Trial. The process that has read a description stays for the trial that follows.
    """

    bucket_url: str
    log_level: str = "info"
    load_seconds: float = 600.0
    _passed: dict[tuple[str, str], tuple[int, ...]] = field(default_factory=dict)
    _waiting: ScoringProcess | None = None
    _changing: Lock = field(default_factory=Lock)

    def read(self, mlmodel: bytes, name: str, version: str) -> ModelSpec:
        """What an `MLmodel` file says. Raises UnfitModel, and ScorerDied where the process ended over it."""
        process = self._process()
        try:
            spec = read_by(process.run, Describe(mlmodel, name, version))
        except BaseException:
            process.kill()
            raise
        self._keep(process)
        return spec

    def hold(self, version: FetchedVersion, abandoned: Event) -> FetchedVersion:
        """The version with its blocks. Raises UnfitModel where it must not serve, Abandoned once `abandoned` is set."""
        blocks = self._passed.get(self._key(version))
        if blocks is not None:
            self._keep(None)
            return replace(version, blocks=blocks)
        process = self._process()
        try:
            return self.passed(version, process.load(version, None, self.load_seconds, abandoned))
        finally:
            process.kill()

    def passed(self, version: FetchedVersion, blocks: tuple[int, ...]) -> FetchedVersion:
        """Remembers that the version was loaded, and the sizes of its blocks; gives the version with these sizes."""
        if self._passed.get(self._key(version)) != blocks:
            log.info("version tried", version=version.spec.version, blocks=list(blocks))
        self._passed[self._key(version)] = blocks
        return replace(version, blocks=blocks)

    def _process(self) -> ScoringProcess:
        """The process that waits, or a new one."""
        with self._changing:
            waiting, self._waiting = self._waiting, None
        return waiting or ScoringProcess(self.bucket_url, self.log_level, NICENESS_OF_LOADING)

    def _keep(self, process: ScoringProcess | None) -> None:
        """Keeps this process, and no other, for the next trial."""
        with self._changing:
            before, self._waiting = self._waiting, process
        if before is not None:
            before.kill()

    @staticmethod
    def _key(version: FetchedVersion) -> tuple[str, str]:
        return version.spec.version, version.sha256


def read_by(run: Callable[[Describe, float], ModelSpec], task: Describe) -> ModelSpec:
    """What `run` (of a pool or a process) gives for the task. Raises UnfitModel, and ScorerDied as `run` does.

    Where a process ends or hangs over it, the machine may be at fault: the version is tried again.
    """
    try:
        return run(task, READ_SECONDS)
    except TaskFailed as error:
        if error.kind == UnfitModel.__name__:
            raise UnfitModel(str(error)) from None
        raise UnfitModel(
            f"{task.name} version {task.version}: its MLmodel file cannot be read ({error.kind}: {error})"
        ) from None


@dataclass(frozen=True)
class TriedPool:
    """A pool that reads and loads a version only after its trial; before it serves anything it needs no trial."""

    pool: Pool
    trial: Trial

    def read(self, mlmodel: bytes, name: str, version: str) -> ModelSpec:
        """What an `MLmodel` file says. Raises UnfitModel, and ScorerDied where the process ended over it."""
        if self.pool.serving is not None:
            return self.trial.read(mlmodel, name, version)
        return read_by(self.pool.run, Describe(mlmodel, name, version))

    def prepare(self, version: FetchedVersion, abandoned: Event) -> FetchedVersion:
        """Tries a version and has the pool load it; gives it with its blocks.

        Raises UnfitModel where it must not serve, and Abandoned.
        """
        if self.pool.serving is not None:
            version = self.trial.hold(version, abandoned)
        return self.trial.passed(version, self.pool.load(version, abandoned))

    def serve(self, version: FetchedVersion | None) -> None:
        """From now on the pool's tasks are about this version."""
        self.pool.serve(version)
