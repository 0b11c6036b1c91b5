"""Follows the registry while files are scored: which versions are in force, looked at off the scoring path."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event, Thread

import structlog

from models.registry import PRODUCTION, STAGING, FetchedVersion, Registry, RegistryUnreachable, VersionId
from models.spec import UnfitModel

log = structlog.get_logger()

Prepare = Callable[[FetchedVersion], None]
"""Loads a version where it will serve and has it score its own example; raises UnfitModel where it must not."""


@dataclass(frozen=True)
class InForce:
    """The versions that the next file is scored with."""

    production: FetchedVersion | None = None
    staging: FetchedVersion | None = None

    @property
    def shadow(self) -> FetchedVersion | None:
        """The staging version where it is another than production's."""
        if self.production and self.staging and self.production.spec.version == self.staging.spec.version:
            return None
        return self.staging


class Follower:
    """Keeps `in_force` at what the registry's aliases say, as far as those versions can serve.

    A version is put in force only once it is fetched, verified, loaded and has scored its own example; until then, and
    if it fails, the one before goes on. A refused version is not tried again until its alias has moved.
    """

    def __init__(self, registry: Registry, cache: Path, prepare: dict[str, Prepare], poll_seconds: float) -> None:
        self.in_force = InForce()
        self._registry = registry
        self._cache = cache
        self._prepare = prepare
        self._poll_seconds = poll_seconds
        self._refused: dict[str, VersionId] = {}
        self._reachable = True
        self._stop = Event()
        self._thread = Thread(target=self._run, daemon=True, name="follow")

    def look(self) -> None:
        """One look at the registry, and the swaps that follow from it."""
        try:
            aliases = self._registry.aliases()
        except RegistryUnreachable as error:
            if self._reachable:
                log.warning("registry unreachable", error=str(error), consequence="the versions in force go on serving")
            self._reachable = False
            return
        if not self._reachable:
            log.info("registry reachable again")
        self._reachable = True
        for alias in (PRODUCTION, STAGING):
            self._follow(alias, aliases.get(alias))

    def wait_for_production(self, stopping: Event) -> None:
        """Looks until a production version is in force, or `stopping` is set."""
        pause = 0.5
        while not stopping.is_set():
            self.look()
            if self.in_force.production is not None:
                return
            log.warning(
                "waiting for a production version",
                registry=self._registry.tracking_uri,
                model=self._registry.model,
                todo="train one with `python -m models train all`, or `python -m models promote VERSION`",
            )
            stopping.wait(pause)
            pause = min(2 * pause, self._poll_seconds)

    def start(self) -> None:
        """Goes on looking, every `poll_seconds`, in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()

    def repair(self, version: FetchedVersion) -> None:
        """Brings a version's files back where the local cache lost or changed them. Never raises."""
        try:
            self._registry.fetch(version.spec.version, self._cache)
        except (RegistryUnreachable, UnfitModel) as error:
            log.error("model cache not repaired", model=str(version.spec), error=str(error))

    def _run(self) -> None:
        while not self._stop.wait(self._poll_seconds):
            try:
                self.look()
            except Exception:
                log.exception("look at the registry failed", consequence="the versions in force go on serving")

    def _follow(self, alias: str, version: VersionId | None) -> None:
        before: FetchedVersion | None = getattr(self.in_force, alias)
        if version is None:
            if before and alias == STAGING:
                self.in_force = replace(self.in_force, staging=None)
                log.info("no staging version", consequence="files are scored without a shadow")
            elif before:
                log.warning("alias removed", alias=alias, consequence=f"{before.spec} goes on serving")
            return
        if before and before.spec.version == version:
            self._refused.pop(alias, None)
            return
        if self._refused.get(alias) == version:
            return
        try:
            fetched = self._registry.fetch(version, self._cache)
            self._prepare[alias](fetched)
        except RegistryUnreachable as error:
            log.warning(
                "version not fetched", alias=alias, version=version, error=str(error), consequence="tried again"
            )
            return
        except UnfitModel as error:
            self._refused[alias] = version
            log.error(
                "version refused",
                alias=alias,
                version=version,
                error=str(error),
                consequence=f"{before.spec} goes on serving" if before else f"there is no {alias} version",
            )
            return
        self._refused.pop(alias, None)
        self.in_force = replace(self.in_force, **{alias: fetched})
        log.info("version in force", alias=alias, version=version, before=before.spec.version if before else None)
