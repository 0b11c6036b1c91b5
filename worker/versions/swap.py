"""Swaps: versions on their way to being in force, each in a thread of its own, and those that have arrived."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from threading import Condition, Event, Thread
from typing import Protocol

import structlog

from edge import metrics
from models.registry.challengers import challengers
from models.registry.client import PRODUCTION, STAGING, FetchedVersion, RegistryUnreachable, VersionId
from models.registry.spec import ModelSpec, UnfitModel
from worker.processes.process import Abandoned
from worker.versions.last_good import LastGood
from worker.versions.seat import Coming, Refusal, Seat, Then, next_step

log = structlog.get_logger()


class Servers(Protocol):
    """The processes that score with an alias's version."""

    def read(self, mlmodel: bytes, name: str, version: VersionId) -> ModelSpec:
        """What a version's `MLmodel` file says, read in a process where it can do no harm. Raises UnfitModel."""

    def prepare(self, version: FetchedVersion, abandoned: Event) -> FetchedVersion:
        """Loads a version where it will serve, beside what serves, and has it score its example; gives it, tried.

        Raises UnfitModel where it must not serve, Abandoned soon after `abandoned` is set.
        """

    def serve(self, version: FetchedVersion | None) -> None:
        """From now on this is the version in force."""


@dataclass(frozen=True)
class InForce:
    """The versions that the next file is scored with. `further`: by alias, those of further challengers."""

    production: FetchedVersion | None = None
    staging: FetchedVersion | None = None
    further: Mapping[str, FetchedVersion] = field(default_factory=dict)

    @property
    def by_alias(self) -> dict[str, FetchedVersion]:
        """Every version, by the alias that it is in force for."""
        named = {PRODUCTION: self.production, STAGING: self.staging, **self.further}
        return {alias: version for alias, version in named.items() if version is not None}

    @property
    def shadows(self) -> dict[str, FetchedVersion]:
        """By alias, the versions that score in the shadow: each once, and not production's."""
        versions = self.by_alias
        named = {alias: version.spec.version for alias, version in versions.items()}
        return {alias: versions[alias] for alias in challengers(named)}

    def of(self, alias: str) -> FetchedVersion | None:
        """The version in force for an alias."""
        return self.by_alias.get(alias)

    def moved(self, alias: str, version: FetchedVersion | None) -> InForce:
        """The same with another version in force for an alias, or with none."""
        if alias == PRODUCTION:
            return replace(self, production=version)
        if alias == STAGING:
            return replace(self, staging=version)
        others = {name: one for name, one in self.further.items() if name != alias}
        return replace(self, further=others if version is None else {**others, alias: version})


class Swaps:
    """The seats of all aliases, and what is on its way into them: at most one version each.

    Hold `changed` to look at several seats, or at several fields of one. It is notified when a version has arrived, was
    refused, or could not be fetched. `in_force` alone may be read at any time.
    """

    def __init__(self, servers: Mapping[str, Servers], good: LastGood) -> None:
        self.changed = Condition()
        self.in_force = InForce()
        self.seats = {alias: Seat(alias) for alias in servers}
        self._servers = servers
        self._good = good
        self._threads: list[Thread] = []

    def follow(self, alias: str, named: VersionId | None, fetch: Callable[[VersionId], FetchedVersion]) -> Then:
        """Does what follows from the registry's answer for an alias, and says what that was."""
        with self.changed:
            seat = self.seats[alias]
            step = next_step(seat, named)
            if step.abandon:
                self._abandon(seat)
            if step.forget:
                seat.refused, seat.unfetched = None, ""
            if step.then is Then.EMPTY:
                self._set(seat, None)
            elif step.then is Then.BEGIN and named is not None:
                self.begin(alias, named, lambda: fetch(named), cached=False)
            return step.then

    def begin(self, alias: str, version: VersionId, fetch: Callable[[], FetchedVersion], *, cached: bool) -> None:
        """Starts the swap to a version; one that was on its way for the alias is abandoned."""
        with self.changed:
            seat = self.seats[alias]
            self._abandon(seat)
            attempt = seat.coming = Coming(version, cached)
            thread = Thread(target=self._try, args=(seat, attempt, fetch), daemon=True, name=f"swap-{alias}")
            self._threads = [*(other for other in self._threads if other.is_alive()), thread]
            thread.start()

    def wait_until_still(self, timeout: float) -> bool:
        """Waits until nothing is on its way; False where something still is after `timeout` seconds."""
        with self.changed:
            return self.changed.wait_for(lambda: all(seat.coming is None for seat in self.seats.values()), timeout)

    def stop(self) -> list[Thread]:
        """Abandons what is on its way; gives the threads that may still wait for the registry."""
        with self.changed:
            for seat in self.seats.values():
                if seat.coming:
                    seat.coming.abandoned.set()
            return [thread for thread in self._threads if thread.is_alive()]

    def tidy(self) -> None:
        """Removes from the cache the versions that no worker has needed for a while."""
        if removed := self._good.tidy(self.in_force.by_alias.values()):
            log.info("model cache tidied", removed=removed)

    def _abandon(self, seat: Seat) -> None:
        """The version on its way will not be in force."""
        if seat.coming:
            seat.coming.abandoned.set()
            log.info("version abandoned", alias=seat.alias, version=seat.coming.version, reason="another is wanted")
            seat.coming = None

    def _try(self, seat: Seat, attempt: Coming, fetch: Callable[[], FetchedVersion]) -> None:
        """The order of a swap: download and verify, load beside the old one and score the example, only then serve."""
        began = time.monotonic()
        version = None
        try:
            version = fetch()
            attempt.fetched = True
            version = self._servers[seat.alias].prepare(version, attempt.abandoned)
        except Abandoned:
            return
        except UnfitModel as error:
            needed = (version, seat.in_force)  # one is loaded beside the other
            if all(one is None or one.lies_there for one in needed):
                self._end(seat, attempt, partial(self._refuse, reason=str(error)))
            else:  # the cache lost files meanwhile, which does not speak against the version
                self._end(seat, attempt, partial(self._put_off, reason=str(error)))
        except Exception as error:  # noqa: BLE001 - any other error does not speak against the version
            reason = str(error) if isinstance(error, RegistryUnreachable) else repr(error)
            self._end(seat, attempt, partial(self._put_off, reason=reason))
        else:
            seconds = time.monotonic() - began
            self._end(seat, attempt, partial(self._put_in_force, version=version, seconds=seconds))

    def _end(self, seat: Seat, attempt: Coming, outcome: Callable[[Seat, Coming], None]) -> None:
        with self.changed:
            if seat.coming is attempt:  # else its alias has moved on meanwhile
                seat.coming = None
                outcome(seat, attempt)
                self.changed.notify_all()

    def _put_in_force(self, seat: Seat, _attempt: Coming, version: FetchedVersion, seconds: float) -> None:
        before = seat.in_force
        seat.unfetched = ""
        self._set(seat, version)
        log.info(
            "version in force",
            alias=seat.alias,
            version=version.spec.version,
            before=before.spec.version if before else None,
            seconds=round(seconds, 3),
        )
        self.tidy()

    def _refuse(self, seat: Seat, attempt: Coming, reason: str) -> None:
        before = seat.in_force
        seat.unfetched = ""
        seat.refused = Refusal(attempt.version, reason)
        metrics.MODEL_REFUSED.labels(seat.alias).set(1)
        log.error(
            "version refused",
            alias=seat.alias,
            version=attempt.version,
            error=reason,
            consequence=f"{before.spec} goes on serving" if before else f"there is no {seat.alias} version",
            todo="register it again and move the alias; until the alias moves this version is not tried again",
        )

    def _put_off(self, seat: Seat, attempt: Coming, reason: str) -> None:
        if not seat.unfetched:
            log.warning(
                "version not fetched",
                alias=seat.alias,
                version=attempt.version,
                error=reason,
                consequence="tried again",
            )
        seat.unfetched = reason

    def _set(self, seat: Seat, version: FetchedVersion | None) -> None:
        self._servers[seat.alias].serve(version)
        seat.in_force = version
        self.in_force = self.in_force.moved(seat.alias, version)
        metrics.MODEL_VERSION.remove_by_labels({"alias": seat.alias})
        if version is not None:
            metrics.MODEL_VERSION.labels(seat.alias, version.spec.version).set(1)
        try:
            self._good.note(seat.alias, version)
        except OSError as error:
            log.warning("last good version not written down", alias=seat.alias, error=str(error))
