"""Follows the registry while files are scored, and decides which versions are to be in force."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Event, Thread

import structlog

from edge import metrics
from models.registry.advice import TRAIN, advice
from models.registry.challengers import not_followed
from models.registry.client import PRODUCTION, FetchedVersion, Registry, RegistryUnreachable, VersionId
from models.registry.spec import UnfitModel
from worker.versions.last_good import LastGood
from worker.versions.seat import Refusal, Then
from worker.versions.swap import InForce, Servers, Swaps

log = structlog.get_logger()

FIRST_PAUSE = 0.5
START_PATIENCE = 15.0  # at the start: for a registry that hangs; and, once production is there, for the challengers
TIDY_SECONDS = 600.0


class Follower:
    """Keeps `in_force` at what the registry's aliases say, as far as those versions can serve.

    A version is put in force only once it is fetched, verified and loaded, has scored its own example, and is still the
    one that its alias names. Until then, and where it fails, the version before it serves. A refused version is not
    tried again until its alias has moved. A look never waits for a version: each is fetched and prepared in a thread of
    its own.
    """

    def __init__(
        self,
        registry: Registry,
        cache: Path,
        servers: Mapping[str, Servers],
        poll_seconds: float,
        record: Callable[[Mapping[str, Refusal | None], InForce], None] = lambda standing, in_force: None,
    ) -> None:
        """`record` is told after each look which versions were refused, by alias (None: it serves), and which serve."""
        self._registry = registry
        self._cache = cache
        self._poll_seconds = poll_seconds
        self._record = record
        self._good = LastGood(cache, registry.tracking_uri, registry.model)
        self._servers = servers
        self._swaps = Swaps(servers, self._good)
        self._production = self._swaps.seats[PRODUCTION]
        self._challengers = [seat for alias, seat in self._swaps.seats.items() if alias != PRODUCTION]
        self._unreachable = ""
        self._aliases: Mapping[str, VersionId] | None = None  # None: no answer yet
        self._tried_in_cache: set[str] = set()
        self._told: set[str] = set()
        self._not_followed: set[str] = set()
        self._stop = Event()
        self._thread = Thread(target=self._run, daemon=True, name="follow")

    @property
    def in_force(self) -> InForce:
        """The versions that the next file is scored with."""
        return self._swaps.in_force

    @property
    def refused(self) -> Mapping[str, Refusal]:
        """By alias, the version that it names and that was refused."""
        return {alias: seat.refused for alias, seat in self._swaps.seats.items() if seat.refused}

    @property
    def missing(self) -> str:
        """Why there is no production version in force, in words; nothing where there is one."""
        if self.in_force.production is not None:
            return ""
        return f"no production version is in force: {self._trouble() or 'it is being loaded'}"

    def start(self) -> None:
        """Looks from now on, every `poll_seconds`, in a thread of its own."""
        self._thread.start()

    def wait_for_production(self, stopping: Event) -> None:
        """Returns once a production version is in force, or `stopping` is set. The follower has to be started.

        Challengers that are on their way are waited for too, for a while: the first files should have their shadows.
        """
        began = without_production = time.monotonic()
        while not stopping.is_set():
            now = time.monotonic()
            with self._swaps.changed:
                if self.in_force.production is None:
                    without_production = now
                    self._fall_back(overdue=now - began > START_PATIENCE)
                elif all(seat.is_still for seat in self._challengers) or now - without_production > START_PATIENCE:
                    return
                self._swaps.changed.wait(0.1)  # setting `stopping` does not end this wait

    def stop(self, patience: float = 1.0) -> bool:
        """Ends the looks; False where a thread still waits for the registry."""
        self._stop.set()
        until = time.monotonic() + patience
        threads = [thread for thread in [self._thread, *self._swaps.stop()] if thread.is_alive()]
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in threads)

    def repair(self, version: FetchedVersion) -> None:
        """Fetches a version's files again where the cache lost or changed them. Never raises."""
        try:
            self._registry.fetch(version.spec.version, self._cache)
        except (RegistryUnreachable, UnfitModel, OSError) as error:
            log.error("model cache not repaired", model=str(version.spec), error=str(error))

    def look(self) -> None:
        """One look at the registry; starts the swaps that follow from it."""
        try:
            aliases = self._registry.aliases()
        except RegistryUnreachable as error:
            self._unreachable = str(error)
            metrics.REGISTRY_REACHABLE.set(0)
            self._say_once("registry unreachable", error=str(error), consequence="the versions in force go on serving")
            return
        if "registry unreachable" in self._told:
            self._told.remove("registry unreachable")
            log.info("registry reachable again")
        self._unreachable = ""
        metrics.REGISTRY_REACHABLE.set(1)
        if self._registry.reads_stages:
            self._say_once(
                "model has no aliases", consequence="its stages Production and Staging are followed in their place"
            )
        self._say_what_is_not_followed(aliases)
        with self._swaps.changed:
            self._aliases = aliases
            for alias, seat in self._swaps.seats.items():
                self._follow(alias, aliases.get(alias))
                metrics.MODEL_REFUSED.labels(alias).set(seat.refused is not None)

    def wait_until_still(self, timeout: float) -> bool:
        """Waits until no version is on its way; False where one still is after `timeout` seconds."""
        return self._swaps.wait_until_still(timeout)

    def _run(self) -> None:
        pause = min(FIRST_PAUSE, self._poll_seconds)
        tidied = time.monotonic()
        while not self._stop.is_set():
            try:
                self.look()
            except Exception:
                log.exception("look at the registry failed", consequence="the versions in force go on serving")
                metrics.REGISTRY_REACHABLE.set(0)
                self._unreachable = self._unreachable or "its answer was not understood"
            with self._swaps.changed:
                missing = self.in_force.production is None
                if missing and not self._fall_back() and self._production.coming is None:
                    self._say_what_is_missing()
                elif self._aliases is None and self._unreachable:
                    self._begin_challengers(self._unreachable)  # it hung, and is away, as is known now
                waiting = missing or any(seat.unfetched for seat in self._challengers)
            self._record(*self._standing())
            if time.monotonic() - tidied > TIDY_SECONDS:
                self._swaps.tidy()
                tidied = time.monotonic()
            self._stop.wait(pause if waiting else self._poll_seconds)
            pause = min(2 * pause, self._poll_seconds)

    def _standing(self) -> tuple[Mapping[str, Refusal | None], InForce]:
        """Alias → its refused version, or None; without aliases whose version is on its way. Empty before an answer."""
        with self._swaps.changed:
            seats = {} if self._aliases is None else self._swaps.seats
            return {alias: seat.refused for alias, seat in seats.items() if seat.is_still}, self.in_force

    def _follow(self, alias: str, named: VersionId | None) -> None:
        then = self._swaps.follow(alias, named, lambda version: self._fetched(alias, version))
        if then is Then.EMPTY:
            log.info("no staging version", alias=alias, consequence="files are scored without this shadow")
        elif then is Then.KEEP:
            before = self.in_force.of(alias)
            self._say_once("alias removed", alias=alias, consequence=f"{before and before.spec} goes on serving")
        elif alias == PRODUCTION and named is not None:
            self._told.discard("alias removed")

    def _fetched(self, alias: str, version: VersionId) -> FetchedVersion:
        before = self.in_force.of(alias)
        if before is not None and not before.lies_there:  # a new scoring process loads it beside the other
            self.repair(before)
        return self._registry.fetch(version, self._cache, self._servers[alias].read)

    def _fall_back(self, *, overdue: bool = False) -> bool:
        """Starts the last good versions where the registry gives none, or is `overdue`; False where none was started.

        Where the registry says clearly that there is no production version, none is started.
        """
        attempt = self._production.coming
        reason = self._trouble()
        if attempt:
            reason = "" if attempt.fetched or attempt.from_cache else "the version's files are slow to come"
            if not (reason and overdue):
                return False
        elif self._aliases is None and not self._unreachable:
            reason = "it has not answered yet"
            if not overdue:
                return False
        if PRODUCTION in self._tried_in_cache or (self._aliases is not None and PRODUCTION not in self._aliases):
            return False
        began = self._begin_with_last_good(PRODUCTION, reason)
        if began and self._unreachable:
            self._begin_challengers(reason)
        return began

    def _begin_challengers(self, reason: str) -> None:
        for seat in self._challengers:
            if seat.alias not in self._tried_in_cache:
                self._begin_with_last_good(seat.alias, reason)

    def _begin_with_last_good(self, alias: str, reason: str) -> bool:
        self._tried_in_cache.add(alias)
        try:
            good = self._good.find(alias)
        except UnfitModel as error:
            log.error("last good version unusable", alias=alias, error=str(error))
            return False
        if good is None:
            return False
        log.warning(
            "starting from the cache",
            alias=alias,
            version=good.spec.version,
            registry=self._registry.shown,
            reason=reason,
            consequence="this version served last; the registry is followed as soon as it can be",
        )
        self._swaps.begin(alias, good.spec.version, lambda: good, cached=True)
        return True

    def _trouble(self) -> str:
        """Why the registry gives no production version."""
        if self._unreachable:
            return self._unreachable
        if self._aliases is not None and PRODUCTION not in self._aliases:
            return f"no version of the model has the alias {PRODUCTION!r}"
        if refusal := self._production.refused:
            return f"version {refusal.version} was refused: {refusal.reason}"
        return self._production.unfetched

    def _say_what_is_not_followed(self, aliases: Mapping[str, VersionId]) -> None:
        """Once for each such alias, as long as it stands."""
        found = not_followed(aliases, self._swaps.seats)
        for alias in found.keys() - self._not_followed:
            consequence = f"version {aliases[alias]} is not scored in the shadow"
            log.warning("alias not followed", alias=alias, consequence=consequence, todo=found[alias])
        self._not_followed = set(found)

    def _say_what_is_missing(self) -> None:
        log.warning(
            "waiting for a production version",
            registry=self._registry.shown,
            model=self._registry.model,
            reason=self._trouble(),
            cache=f"no version in {self._cache} that has served here before",
            todo=TRAIN if self._unreachable else advice(self._registry),
        )

    def _say_once(self, event: str, **fields: str) -> None:
        if event not in self._told:
            self._told.add(event)
            log.warning(event, **fields)
