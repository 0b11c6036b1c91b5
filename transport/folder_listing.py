"""The objects of a folder in the order of their names' UTF-8 bytes, as a bucket lists them."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator

from transport.bucket import AccessRefused
from transport.folder_names import HIDDEN, open_folder


def list_files(
    root: str, prefix: str, start: str, recursive: bool, unusable: Callable[[str], None]
) -> Iterator[tuple[str, os.stat_result]]:
    """Name and status of each regular file below `root`; parameters as for `Bucket.objects`.

    Links are neither listed nor followed; files that vanish meanwhile are left out. Only folders that can hold a name
    in question are read, one at a time, so memory grows with the largest folder only. `unusable` is told of a name
    that is not valid UTF-8.
    """
    above, slash, _ = prefix.rpartition("/")
    parts = above.split("/") if slash else []
    if any(part in ("", ".", "..") for part in parts) or parts[:1] == [HIDDEN] or "\0" in prefix:
        return
    try:
        folder = open_folder(root, parts)
    except (FileNotFoundError, AccessRefused):
        if not os.path.isdir(root):
            raise
        return
    yield from _walk(folder, above + slash, prefix, start, recursive, unusable)


def _walk(
    folder: int, path: str, prefix: str, start: str, recursive: bool, unusable: Callable[[str], None]
) -> Iterator[tuple[str, os.stat_result]]:
    """As `list_files`, for the folder with the descriptor `folder` (closed in the end), whose name is `path`."""
    first = start.encode()
    try:
        for encoded, entry in _entries(folder, path, prefix, recursive, unusable):
            if encoded.endswith(b"/"):
                if encoded < first and not first.startswith(encoded):
                    continue  # everything in there is below `start`
                try:
                    inner = os.open(entry, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
                except (FileNotFoundError, NotADirectoryError):
                    continue
                yield from _walk(inner, encoded.decode(), prefix, start, recursive, unusable)
            elif encoded >= first:
                try:
                    status = os.stat(entry, dir_fd=folder, follow_symlinks=False)
                except FileNotFoundError:
                    continue
                if stat.S_ISREG(status.st_mode):
                    yield encoded.decode(), status
    finally:
        os.close(folder)


def _entries(
    folder: int, path: str, prefix: str, recursive: bool, unusable: Callable[[str], None]
) -> list[tuple[bytes, str]]:
    """The full names in one folder, sorted; that of an inner folder ends in `/`, which is how its content sorts."""
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            inner = entry.is_dir(follow_symlinks=False)
            if not inner and not entry.is_file(follow_symlinks=False):
                continue
            name = f"{path}{entry.name}/" if inner else f"{path}{entry.name}"
            if not name.startswith(prefix):
                continue
            if inner and (not recursive or name == f"{HIDDEN}/"):
                continue
            try:
                found.append((name.encode(), entry.name))
            except UnicodeEncodeError:
                unusable(name)
    found.sort()
    return found
