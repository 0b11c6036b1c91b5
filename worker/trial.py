"""The trial of a version: a process of its own loads it and scores its example, before one that serves does."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Event

from models.registry import FetchedVersion
from worker.pool import Pool
from worker.process import ScoringProcess
from worker.scoring_process import NICENESS_OF_LOADING


@dataclass
class Trial:
    """Loads versions where a crash, a hang or a wrong answer harms nobody. Those that have passed are remembered."""

    bucket_url: str
    log_level: str = "info"
    load_seconds: float = 600.0
    _passed: set[tuple[str, str]] = field(default_factory=set)

    def hold(self, version: FetchedVersion, abandoned: Event) -> None:
        """Raises UnfitModel where the version must not serve, Abandoned once `abandoned` is set."""
        if self._key(version) in self._passed:
            return
        process = ScoringProcess(self.bucket_url, self.log_level, NICENESS_OF_LOADING)
        try:
            process.load(version, None, self.load_seconds, abandoned)
        finally:
            process.kill()
        self.passed(version)

    def passed(self, version: FetchedVersion) -> None:
        """It was loaded elsewhere and needs no trial."""
        self._passed.add(self._key(version))

    @staticmethod
    def _key(version: FetchedVersion) -> tuple[str, str]:
        return version.spec.version, version.sha256


@dataclass(frozen=True)
class TriedPool:
    """A pool whose processes load only what has passed its trial, unless there is nothing that they serve yet."""

    pool: Pool
    trial: Trial

    def prepare(self, version: FetchedVersion, abandoned: Event) -> None:
        """Tries a version and has the pool load it. Raises UnfitModel where it must not serve, and Abandoned."""
        if self.pool.serving is not None:
            self.trial.hold(version, abandoned)
        self.pool.load(version, abandoned)
        self.trial.passed(version)

    def serve(self, version: FetchedVersion | None) -> None:
        """From now on the pool's tasks are about this version."""
        self.pool.serve(version)
