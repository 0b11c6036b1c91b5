"""The cache of versions' files on this machine: two files per version, whole and with the right digests, or absent."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from models.registry.spec import GRAPH_FILE, SPEC_FILE, UnfitModel

FILES = (SPEC_FILE, GRAPH_FILE)
_PART = ".part-"
_STALE_AFTER_SECONDS = 3600.0


def folder_name(model: str) -> str:
    """The name of a model as one plain folder name; odd characters are quoted."""
    return quote(model, safe=" ").replace(".", "%2E")


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_digest(path: Path, pinned: str, who: str) -> None:
    """Raises UnfitModel where the file has another SHA-256 than was registered."""
    actual = sha256_of(path)
    if actual != pinned.strip().lower():
        raise UnfitModel(
            f"{who}: {path.name} was changed after it was registered (SHA-256 {actual[:12]}…, registered "
            f"{pinned[:12]}…); register the model again and move the alias to the new version"
        )


@dataclass(frozen=True)
class Shelf:
    """The folder of one model in the cache; several processes may share it."""

    place: Path

    def find(self, version: str, pinned: Mapping[str, str]) -> Path | None:
        """The folder of `version` if both its files have the digests in `pinned` (file name → SHA-256).

        It counts as used now, so that no other worker's tidying removes it.
        """
        folder = self._folder(version, pinned)
        with suppress(OSError):  # it is not there, or may only be read
            os.utime(folder)
        try:
            right = all(sha256_of(folder / name) == pinned[name] for name in FILES)
        except (OSError, KeyError):
            return None
        return folder if right else None

    @contextmanager
    def new_part(self) -> Iterator[Path]:
        """A folder to download into, gone at the end of the block; also clears what killed processes left behind."""
        self.place.mkdir(parents=True, exist_ok=True)
        for left in self.place.glob(f"{_PART}*"):
            with suppress(OSError):
                if time.time() - left.stat().st_mtime > _STALE_AFTER_SECONDS:
                    shutil.rmtree(left, ignore_errors=True)
        part = Path(tempfile.mkdtemp(prefix=_PART, dir=self.place))
        try:
            yield part
        finally:
            shutil.rmtree(part, ignore_errors=True)

    def keep(self, part: Path, version: str, pinned: Mapping[str, str], who: str) -> Path:
        """Gives the files in `part` their place in one step. Raises UnfitModel where a digest is not as registered."""
        for name in FILES:
            check_digest(part / name, pinned[name], who)
        folder = self._folder(version, pinned)
        while True:
            try:
                return part.rename(folder)
            except OSError:
                # Another process was first, or the folder lies there damaged.
                if self.find(version, pinned):
                    return folder
                if not folder.exists():
                    raise
                shutil.rmtree(folder)

    def _folder(self, version: str, pinned: Mapping[str, str]) -> Path:
        short = hashlib.sha256("\n".join(pinned.get(name, "") for name in FILES).encode()).hexdigest()[:12]
        return self.place / f"{folder_name(version)}-{short}"


def bring(repository: Any, name: str, into: Path, limit: int, who: str) -> Path:
    """Puts the one file `name` of an MLflow artefact repository into the folder `into`; gives its path there.

    Raises UnfitModel where it is not one plain file of at most `limit` bytes, the repository's own errors otherwise.
    """
    try:
        local = repository.get_local_path(name)
    except Exception as error:
        if getattr(error, "error_code", None) == "INVALID_PARAMETER_VALUE":  # what it says of a link, for good
            raise UnfitModel(
                f"{who}: {name} is a link that leads out of its folder; register the model again"
            ) from None
        raise
    if local is not None:
        found = Path(local).stat()
        if not stat.S_ISREG(found.st_mode):  # a device or a pipe would be copied for ever
            raise UnfitModel(f"{who}: {name} is not a plain file; register the model again")
        _check_size(found.st_size, name, limit, who)
        shutil.copyfile(local, into / name)
        return into / name
    for entry in repository.list_artifacts():
        if entry.path == name and entry.is_dir:  # MLflow would download all that lies in it
            raise UnfitModel(f"{who}: {name} is a folder, not a file; register the model again")
        if entry.path == name:
            _check_size(entry.file_size or 0, name, limit, who)
            break
    else:
        raise FileNotFoundError(name)
    repository.download_artifacts(name, str(into))
    _check_size((into / name).stat().st_size, name, limit, who)
    return into / name


def _check_size(size: int, name: str, limit: int, who: str) -> None:
    if size > limit:
        raise UnfitModel(f"{who}: {name} has {size:,} bytes, and at most {limit:,} are allowed; make the model smaller")
