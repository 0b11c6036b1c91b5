"""The last good versions of a model on this machine: what a worker starts with where the registry gives none."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import structlog

from models.registry.cache import FILES, folder_name, sha256_of
from models.registry.client import FetchedVersion
from models.registry.description.read import read_spec
from models.registry.spec import GRAPH_FILE, SPEC_FILE, UnfitModel

log = structlog.get_logger()

UNUSED_SECONDS = 3600.0


@dataclass(frozen=True)
class Good:
    """A version that has served: its folder in the cache, and the SHA-256 of its files."""

    version: str
    folder: str
    digests: Mapping[str, str]


@dataclass(frozen=True)
class NowAndBefore:
    """What is in force for an alias, and what was before it."""

    now: Good | None = None
    before: Good | None = None


class LastGood:
    """A record beside a model's cached versions: per alias the version in force and the one before it.

    One record per registry, so that workers of two registries may share a cache. Workers of one registry write the same
    record, so it does not matter which writes last.
    """

    def __init__(self, cache: Path, tracking_uri: str, model: str) -> None:
        self._model = model
        self._place = cache / folder_name(model)
        # The address is not written down: it may hold a password.
        self._record = self._place / f"last-good-{hashlib.sha256(tracking_uri.encode()).hexdigest()[:12]}.json"

    def __str__(self) -> str:
        return str(self._record)

    def note(self, alias: str, version: FetchedVersion | None) -> None:
        """Writes down that this version is in force for the alias, or none. Raises OSError."""
        record = self._read()
        pair = record.get(alias, NowAndBefore())
        now = None
        if version is not None:
            digests = {SPEC_FILE: sha256_of(version.graph.parent / SPEC_FILE), GRAPH_FILE: version.sha256}
            now = Good(version.spec.version, version.graph.parent.name, digests)
        if now == pair.now:
            return
        record[alias] = NowAndBefore(now, pair.now or pair.before)
        good = {alias: asdict(pair) for alias, pair in record.items()}
        self._place.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=self._place, prefix=".part-", delete=False) as file:
            json.dump({"schema": "understudy.last-good", "version": 1, "model": self._model, "good": good}, file)
        os.replace(file.name, self._record)

    def find(self, alias: str) -> FetchedVersion | None:
        """The last good version for the alias, its files checked by their digests; None where none is written down.

        Raises UnfitModel where its files are gone or changed.
        """
        good = self._read().get(alias, NowAndBefore()).now
        if good is None:
            return None
        folder = self._place / good.folder
        who = f"{self._model} version {good.version}"
        try:
            if any(sha256_of(folder / name) != good.digests[name] for name in FILES):
                raise UnfitModel(f"{who}: its files in {folder} have changed since it served last")
            spec = read_spec((folder / SPEC_FILE).read_bytes(), self._model, good.version)
        except (OSError, KeyError) as error:
            raise UnfitModel(f"{who}: its files in {folder} cannot be read: {error!r}") from None
        return FetchedVersion(spec, folder / GRAPH_FILE, good.digests[GRAPH_FILE])

    def tidy(self, in_force: Iterable[FetchedVersion]) -> list[str]:
        """Removes versions that are not in force nor were so just before, and that no worker has kept for an hour.

        Workers that share the cache and call this more often than hourly leave each other's versions alone. Gives the
        names of the folders removed. Never raises.
        """
        kept = {version.graph.parent.name for version in in_force}
        kept |= {good.folder for pair in self._read().values() for good in (pair.now, pair.before) if good}
        removed = []
        with suppress(OSError):
            for folder in self._place.iterdir():
                if not (folder / GRAPH_FILE).is_file():  # the record, or another worker's download
                    continue
                if folder.name in kept:
                    with suppress(OSError):
                        os.utime(folder)
                elif time.time() - folder.stat().st_mtime > UNUSED_SECONDS:
                    shutil.rmtree(folder, ignore_errors=True)
                    removed.append(folder.name)
        return removed

    def _read(self) -> dict[str, NowAndBefore]:
        try:
            entries = json.loads(self._record.read_bytes())["good"]
            return {alias: NowAndBefore(_good(pair["now"]), _good(pair["before"])) for alias, pair in entries.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("record of good versions unreadable", record=str(self._record), error=repr(error))
            return {}


def _good(entry: Mapping[str, Any] | None) -> Good | None:
    return None if entry is None else Good(str(entry["version"]), Path(entry["folder"]).name, dict(entry["digests"]))
