"""The objects of a folder in the order of their names' UTF-8 bytes, as a bucket lists them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from transport.bucket import AccessRefused, LeftOut
from transport.buckets.folder.files import HIDDEN, open_folder
from transport.event import MAX_NAME_BYTES

_LINK = "it is a symbolic link, and links are not followed; put the file itself there"
_NO_FILE = "it is no regular file"
_NO_TEXT = "its name is not valid UTF-8; rename it"


def list_files(
    root: str,
    prefix: str = "",
    start: str = "",
    recursive: bool = True,
    without: Sequence[str] = (),
    left_out: LeftOut | None = None,
) -> Iterator[tuple[str, os.stat_result]]:
    """Name and status of each regular file below `root`; parameters as for `Bucket.objects`.

    Links are neither listed nor followed; files that vanish meanwhile are left out. Only folders that can hold a name
    in question are read, one at a time, so memory grows with the largest folder only.
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
    look = _Look(prefix, start, recursive, (f"{HIDDEN}/", *without), left_out)
    yield from _walk(folder, above + slash, look)


@dataclass(frozen=True)
class _Look:
    """What is looked for; `without` are folders that are not read."""

    prefix: str
    start: str
    recursive: bool
    without: Sequence[str]
    left_out: LeftOut | None

    def leave_out(self, name: str, why: str) -> None:
        if self.left_out is not None:
            self.left_out(os.fsencode(name).decode("utf-8", "backslashreplace"), why)

    def pass_by(self, name: str, error: OSError) -> None:
        """Raises the error, unless `left_out` can be told of it: then the other folders are still listed."""
        if self.left_out is None:
            raise error
        self.leave_out(name, f"it cannot be looked at: {error.strerror}")


def _walk(folder: int, path: str, look: _Look) -> Iterator[tuple[str, os.stat_result]]:
    """As `list_files`, for the folder with the descriptor `folder` (closed in the end), whose name is `path`."""
    first = look.start.encode()
    try:
        for encoded, entry in _entries(folder, path, look):
            if encoded.endswith(b"/"):
                if encoded < first and not first.startswith(encoded):
                    continue  # everything in there is below `start`
                try:
                    inner = os.open(entry, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
                except (FileNotFoundError, NotADirectoryError):
                    continue
                except OSError as error:
                    look.pass_by(encoded.decode(), error)
                    continue
                yield from _walk(inner, encoded.decode(), look)
            elif encoded >= first:
                try:
                    status = os.stat(entry, dir_fd=folder, follow_symlinks=False)
                except FileNotFoundError:
                    continue
                except PermissionError as error:
                    look.pass_by(encoded.decode(), error)
                    continue
                if stat.S_ISREG(status.st_mode):
                    yield encoded.decode(), status
    finally:
        os.close(folder)


def _entries(folder: int, path: str, look: _Look) -> list[tuple[bytes, str]]:
    """The full names in one folder, sorted; that of an inner folder ends in `/`, which is how its content sorts."""
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            inner = entry.is_dir(follow_symlinks=False)
            name = f"{path}{entry.name}/" if inner else f"{path}{entry.name}"
            if not name.startswith(look.prefix):
                continue
            if inner and (not look.recursive or name in look.without or len(name) > MAX_NAME_BYTES):
                continue  # no object's name is as long as what would lie in so deep a folder
            if not inner and not entry.is_file(follow_symlinks=False):
                look.leave_out(name, _LINK if entry.is_symlink() else _NO_FILE)
                continue
            try:
                found.append((name.encode(), entry.name))
            except UnicodeEncodeError:
                look.leave_out(name, _NO_TEXT)
    found.sort()
    return found
