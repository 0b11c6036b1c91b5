"""Where an object lies in a folder bucket, and what an operating system's refusal means to the person who reads it."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from transport.bucket import AccessRefused, BucketError, NameTooLong, NoSpace

HIDDEN = ".understudy"  # the bucket's own folder below its root: temporary files, metadata, the lock
MAX_PART = 255  # bytes between two slashes, on every file system in use

_ADVICE = {
    errno.ENOSPC: "no space is left on its disk; free some",
    errno.EDQUOT: "the disk quota is used up; free some space or ask for more",
    errno.EMFILE: "this process has too many files open; raise the limit (ulimit -n)",
    errno.ENFILE: "this machine has too many files open",
    errno.ENAMETOOLONG: "its file system takes only shorter names, or shorter paths; give the file a shorter one",
    errno.EIO: "the disk reports an input/output error; look into the system's log",
}
_KINDS: dict[int, type[BucketError]] = {
    errno.ENOSPC: NoSpace,
    errno.EDQUOT: NoSpace,
    errno.ENAMETOOLONG: NameTooLong,
}
_REFUSALS = {
    errno.EACCES: "permission is denied; this user needs to read, write and enter it and everything below",
    errno.EPERM: "the operation is not permitted to this user",
    errno.EROFS: "its file system is mounted read-only",
    errno.ELOOP: "it is a symbolic link, and links are not followed",
    errno.EXDEV: f"a folder below the bucket is another file system's, and `{HIDDEN}` must be on the same; unmount it",
    errno.ENOLCK: "its file system has no file locks (flock); use a local disk",
    errno.EOPNOTSUPP: "its file system lacks an operation that is needed (flock, fsync); use a local disk",
}


def split_name(name: str) -> list[str]:
    """The parts of an object's name as folders and a file. Raises AccessRefused for a name that leads elsewhere.

    Raises NameTooLong where a part is longer than file systems allow.
    """
    parts = name.split("/")
    if any(part in ("", ".", "..") for part in parts):
        raise AccessRefused(f"{name[:200]!r} is no object's name: it is absolute, or has an empty part, '.' or '..'")
    if "\0" in name:
        raise AccessRefused(f"{name[:200]!r} is no object's name: it has a NUL character")
    if parts[0].casefold() == HIDDEN:
        raise AccessRefused(f"{name[:200]!r} is no object: {HIDDEN} is the bucket's own folder")
    for part in parts:
        try:
            length = len(part.encode())
        except UnicodeEncodeError:
            raise AccessRefused(f"{name[:200]!r} is no object's name: it is not valid Unicode") from None
        if length > MAX_PART:
            raise NameTooLong(
                f"{part[:60]!r}… has {length} bytes; a name in a folder may have {MAX_PART} between two slashes. "
                "Give the file a shorter name"
            )
    return parts


def open_folder(root: str, parts: list[str], *, create: bool = False) -> int:
    """A descriptor of the folder `parts` below `root`, for the caller to close; no link on the way is followed.

    Everything done relative to it stays inside the bucket, whatever is renamed or linked meanwhile. Raises
    FileNotFoundError where it does not exist (or is a file), AccessRefused where a part is a link.
    """
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for position, part in enumerate(parts):
            inner = _enter(folder, part, "/".join(parts[: position + 1]), create)
            os.close(folder)
            folder = inner
    except BaseException:
        os.close(folder)
        raise
    return folder


def _enter(folder: int, part: str, path: str, create: bool) -> int:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
    try:
        return os.open(part, flags, dir_fd=folder)
    except FileNotFoundError:
        if not create:
            raise
    except OSError as error:
        if error.errno not in (errno.ENOTDIR, errno.ELOOP):
            raise
        if stat.S_ISLNK(os.lstat(part, dir_fd=folder).st_mode):
            raise AccessRefused(f"{path!r} is a symbolic link; links are not followed, use a real folder") from None
        if create:
            raise AccessRefused(f"{path!r} is a file, so nothing can be written below it; remove it") from None
        raise FileNotFoundError(errno.ENOENT, "a file is in the way", path) from None
    try:
        os.mkdir(part, dir_fd=folder)
    except FileExistsError:
        pass  # another process was faster
    else:
        os.fsync(folder)
    return os.open(part, flags, dir_fd=folder)


@contextmanager
def explained(root: str, doing: str) -> Iterator[None]:
    """Turns what the operating system refuses into BucketError or AccessRefused, saying which folder and what to do."""
    try:
        yield
    except OSError as error:
        place = f"cannot {doing} in the folder {root!r}: "
        if not os.path.isdir(root):
            raise AccessRefused(
                f"{place}the folder is gone or is no folder; make it again, or correct BUCKET"
            ) from error
        if reason := _REFUSALS.get(error.errno or 0):
            raise AccessRefused(place + reason) from error
        reason = _ADVICE.get(error.errno or 0) or error.strerror or str(error)
        raise _KINDS.get(error.errno or 0, BucketError)(place + reason) from error
