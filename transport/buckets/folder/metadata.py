"""The metadata of a folder bucket's objects: in an extended attribute of the file, keyed by its inode and mtime.

The key is known before the object takes its name and does not change when it does (a rename alters the ctime, not the
mtime), so the metadata lies ready and appears with the content, in the same rename. A copy that took the attribute
along is another inode, a file rewritten in place has another mtime: neither has metadata.

Where a file system keeps no such attributes, or not so long ones, the metadata lies in a small file under that key.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress

ATTRIBUTE = "user.understudy"


def attach(file: int, metadata: Mapping[str, str]) -> bool:
    """Gives an open file its metadata, to be synced with it; False where its file system does not take it."""
    if not hasattr(os, "setxattr"):
        return False
    content = json.dumps({"key": sidecar_key(os.fstat(file)), "metadata": dict(metadata)}).encode()
    try:
        os.setxattr(file, ATTRIBUTE, content)
    except OSError:
        return False
    return True


def attached(status: os.stat_result, folder: int, part: str) -> dict[str, str]:
    """What `attach` gave the file with this status, `part` in the folder with that descriptor; empty where nothing."""
    if not hasattr(os, "getxattr"):
        return {}
    try:
        content = json.loads(os.getxattr(f"/proc/self/fd/{folder}/{part}", ATTRIBUTE, follow_symlinks=False))
        if content["key"] == sidecar_key(status):
            return {str(key): str(value) for key, value in content["metadata"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    return {}


def sidecar_key(status: os.stat_result) -> str:
    """What the metadata of the file with this status is filed under."""
    return f"{status.st_ino}-{status.st_mtime_ns}"


class Sidecars:
    """The metadata files, all in one folder."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def write(self, status: os.stat_result, name: str, metadata: Mapping[str, str]) -> None:
        """Files the metadata of an object about to be called `name`, safe against a loss of power."""
        # The file's own fsync is needed: a claim without its outcome would be read as one that another program wrote.
        # Its entry in the folder needs none: a file system's journal keeps it in order with the rename that follows.
        file = os.open(self._path(sidecar_key(status)), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        with open(file, "w", encoding="utf-8") as out:
            json.dump({"name": name, "metadata": dict(metadata)}, out, ensure_ascii=True)
            out.flush()
            os.fsync(out.fileno())

    def read(self, status: os.stat_result) -> dict[str, str]:
        """The metadata of the file with this status; empty where there is none."""
        return self._load(sidecar_key(status))[1]

    def remove(self, status: os.stat_result) -> None:
        """Takes the metadata of a file that is no more out of the folder."""
        self.discard(sidecar_key(status))

    def discard(self, key: str) -> None:
        """Removes the metadata under `key`, if there is any."""
        with suppress(FileNotFoundError):
            os.unlink(self._path(key))

    def names(self) -> Iterator[tuple[str, str]]:
        """Every key with the object's name that its metadata was written for ("" where the file is unreadable)."""
        for key in os.listdir(self._folder):
            yield key, self._load(key)[0]

    def _load(self, key: str) -> tuple[str, dict[str, str]]:
        try:
            with open(self._path(key), encoding="utf-8") as file:
                content = json.load(file)
            return str(content["name"]), {str(k): str(v) for k, v in content["metadata"].items()}
        except FileNotFoundError:
            return "", {}
        except (ValueError, KeyError, TypeError, AttributeError):
            return "", {}  # cut short by a killed writer: its object never took its name

    def _path(self, key: str) -> str:
        return f"{self._folder}/{key}"
