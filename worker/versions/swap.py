"""Swaps: versions on their way to being in force, each in a thread of its own, and those that have arrived."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from threading import Condition, Event, Thread
from typing import Protocol

import structlog

from edge import metrics
from models.registry.client import FetchedVersion, RegistryUnreachable, VersionId
from models.registry.spec import ModelSpec, UnfitModel
from worker.processes.process import Abandoned
from worker.versions.last_good import LastGood

log = structlog.get_logger()


class Servers(Protocol):
    """The processes that score with an alias's version."""

    def read(self, mlmodel: bytes, name: str, version: VersionId) -> ModelSpec:
        """What a version's `MLmodel` file says, read where it harms nobody. Raises UnfitModel."""

    def prepare(self, version: FetchedVersion, abandoned: Event) -> FetchedVersion:
        """Loads a version where it will serve, beside what serves, and has it score its example; gives it, tried.

        Raises UnfitModel where it must not serve, Abandoned soon after `abandoned` is set.
        """

    def serve(self, version: FetchedVersion | None) -> None:
        """From now on this is the version in force."""


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

    def of(self, alias: str) -> FetchedVersion | None:
        """The version in force for an alias."""
        version: FetchedVersion | None = getattr(self, alias)
        return version


@dataclass(frozen=True)
class Refusal:
    """A version that an alias names and that must not serve, and why."""

    version: VersionId
    reason: str


@dataclass
class Attempt:
    """A version on its way; `fetched` once its files are there, verified."""

    alias: str
    version: VersionId
    from_cache: bool
    fetched: bool = False
    abandoned: Event = field(default_factory=Event)


class Swaps:
    """What is in force, and what is on its way there: at most one version per alias.

    Whoever looks at several of its properties at once holds `changed`, which is notified when a version has arrived,
    was refused, or could not be fetched.
    """

    def __init__(self, servers: Mapping[str, Servers], good: LastGood) -> None:
        self.changed = Condition()
        self.in_force = InForce()
        self.under_way: dict[str, Attempt] = {}
        self.refused: dict[str, Refusal] = {}
        self.unfetched: dict[str, str] = {}  # alias → why its version could not be fetched the last time
        self._servers = servers
        self._good = good
        self._threads: list[Thread] = []

    def begin(self, alias: str, version: VersionId, fetch: Callable[[], FetchedVersion], *, cached: bool) -> None:
        """Starts the swap to a version; one that was under way for the alias is abandoned."""
        with self.changed:
            self.abandon(alias)
            attempt = self.under_way[alias] = Attempt(alias, version, cached)
            thread = Thread(target=self._try, args=(attempt, fetch), daemon=True, name=f"swap-{alias}")
            self._threads = [*(other for other in self._threads if other.is_alive()), thread]
            thread.start()

    def abandon(self, alias: str) -> None:
        """Whatever is under way for the alias will not be in force."""
        with self.changed:
            attempt = self.under_way.pop(alias, None)
            if attempt:
                attempt.abandoned.set()
                log.info("version abandoned", alias=alias, version=attempt.version, reason="another is wanted")

    def clear(self, alias: str) -> None:
        """From now on no version is in force for the alias."""
        with self.changed:
            self._set(alias, None)

    def wait_until_still(self, timeout: float) -> bool:
        """Waits until nothing is under way; False where something still is after `timeout` seconds."""
        with self.changed:
            return self.changed.wait_for(lambda: not self.under_way, timeout)

    def stop(self) -> list[Thread]:
        """Abandons what is under way; gives the threads that may still wait for the registry."""
        with self.changed:
            for attempt in self.under_way.values():
                attempt.abandoned.set()
            return [thread for thread in self._threads if thread.is_alive()]

    def tidy(self) -> None:
        """Removes from the cache what nobody has needed for a while."""
        in_force = [version for version in (self.in_force.production, self.in_force.staging) if version]
        if removed := self._good.tidy(in_force):
            log.info("model cache tidied", removed=removed)

    def _try(self, attempt: Attempt, fetch: Callable[[], FetchedVersion]) -> None:
        """The order of a swap: download and verify, load beside the old one and score the example, only then serve."""
        began = time.monotonic()
        version = None
        try:
            version = fetch()
            attempt.fetched = True
            version = self._servers[attempt.alias].prepare(version, attempt.abandoned)
        except Abandoned:
            return
        except UnfitModel as error:
            reason = str(error)
            needed = (version, self.in_force.of(attempt.alias))  # one is loaded beside the other
            if all(one is None or one.lies_there for one in needed):
                self._end(attempt, lambda: self._refuse(attempt, reason))
            else:  # the cache lost files meanwhile, which does not speak against the version
                self._end(attempt, lambda: self._put_off(attempt, reason))
        except Exception as error:  # noqa: BLE001 - whatever it was, it does not speak against the version
            reason = str(error) if isinstance(error, RegistryUnreachable) else repr(error)
            self._end(attempt, lambda: self._put_off(attempt, reason))
        else:
            self._end(attempt, lambda: self._put_in_force(attempt, version, time.monotonic() - began))

    def _end(self, attempt: Attempt, outcome: Callable[[], None]) -> None:
        with self.changed:
            if self.under_way.get(attempt.alias) is attempt:  # else its alias has moved on meanwhile
                del self.under_way[attempt.alias]
                outcome()
                self.changed.notify_all()

    def _put_in_force(self, attempt: Attempt, version: FetchedVersion, seconds: float) -> None:
        before = self.in_force.of(attempt.alias)
        self.unfetched.pop(attempt.alias, None)
        self._set(attempt.alias, version)
        log.info(
            "version in force",
            alias=attempt.alias,
            version=version.spec.version,
            before=before.spec.version if before else None,
            seconds=round(seconds, 3),
        )
        self.tidy()

    def _refuse(self, attempt: Attempt, reason: str) -> None:
        before = self.in_force.of(attempt.alias)
        self.unfetched.pop(attempt.alias, None)
        self.refused[attempt.alias] = Refusal(attempt.version, reason)
        metrics.MODEL_REFUSED.labels(attempt.alias).set(1)
        log.error(
            "version refused",
            alias=attempt.alias,
            version=attempt.version,
            error=reason,
            consequence=f"{before.spec} goes on serving" if before else f"there is no {attempt.alias} version",
            todo="register it again and move the alias; until the alias moves this version is not tried again",
        )

    def _put_off(self, attempt: Attempt, reason: str) -> None:
        if attempt.alias not in self.unfetched:
            log.warning(
                "version not fetched",
                alias=attempt.alias,
                version=attempt.version,
                error=reason,
                consequence="tried again",
            )
        self.unfetched[attempt.alias] = reason

    def _set(self, alias: str, version: FetchedVersion | None) -> None:
        self._servers[alias].serve(version)
        self.in_force = replace(self.in_force, **{alias: version})
        metrics.MODEL_VERSION.remove_by_labels({"alias": alias})
        if version is not None:
            metrics.MODEL_VERSION.labels(alias, version.spec.version).set(1)
        try:
            self._good.note(alias, version)
        except OSError as error:
            log.warning("last good version not written down", alias=alias, error=str(error))
