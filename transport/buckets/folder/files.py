"""A file of a folder bucket as the operating system has it: its place, its generation, its bytes, its metadata.

Its metadata is in an extended attribute, keyed by the file's inode and mtime. The key is known before the object takes
its name and does not change when it does (a rename alters the ctime, not the mtime), so the metadata lies ready and
appears with the content, in the same rename. A copy with the attribute has another inode, and a file rewritten in place
has another mtime: neither has metadata. Where a file system keeps no such attributes, or not so long ones, the metadata
lies in a small file under that key.
"""

from __future__ import annotations

import errno
import io
import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from transport.bucket import AccessRefused, BucketError, NameTooLong, NoSpace, ObjectInfo, ObjectNotFound

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

ATTRIBUTE = "user.understudy"
_CHUNK = 1024 * 1024
_NOT_IN_KERNEL = {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM}
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

    Everything done relative to it stays inside the bucket, even if folders are renamed or linked meanwhile. Raises
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
    """Turns an OSError into BucketError or AccessRefused; the text names the folder and says what to do."""
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


def file_status(folder: int, part: str) -> os.stat_result | None:
    """What stands under a name in the folder with that descriptor, a link not followed; None for nothing."""
    try:
        return os.stat(part, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None


def object_info(name: str, status: os.stat_result, metadata: Mapping[str, str] | None = None) -> ObjectInfo:
    """What a file's status says of the object `name`."""
    return ObjectInfo(name, status.st_ctime_ns, status.st_size, status.st_ctime_ns / 1e9, dict(metadata or {}))


class PinnedFile(io.RawIOBase):
    """The bytes of a file for as long as its ctime says that it is the generation asked for; closes `file`."""

    def __init__(self, file: int, generation: int, name: str, root: str) -> None:
        self._file, self._generation, self._name, self._root = file, generation, name, root

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        with explained(self._root, f"read {self._name!r}"):
            length = os.readv(self._file, [buffer])
            check_generation(self._file, self._generation, self._name)  # after the read: what it returned is covered
            return length

    def close(self) -> None:
        if not self.closed:
            os.close(self._file)
        super().close()


def check_generation(file: int, generation: int, name: str) -> None:
    """Raises ObjectNotFound where the open file is no longer of that generation (rewritten, replaced, removed)."""
    found = os.fstat(file).st_ctime_ns
    if found != generation:
        raise ObjectNotFound(f"{name!r} is no longer of generation {generation}: it was changed, replaced or removed")


def copy_file(source: int, target: int) -> None:
    """Copies from one descriptor's position to the other's, to the end; inside the kernel where it can."""
    if hasattr(os, "copy_file_range"):
        try:
            while os.copy_file_range(source, target, 1024 * _CHUNK):
                pass
            return
        except OSError as error:
            if error.errno not in _NOT_IN_KERNEL:
                raise
    while chunk := os.read(source, _CHUNK):
        write_all(target, chunk)


def write_all(target: int, data: bytes | bytearray) -> None:
    """Writes all of `data`, however many calls that takes."""
    with memoryview(data) as view:
        written = 0
        while written < len(view):
            written += os.write(target, view[written:])


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
    """The key under which the metadata of the file with this status is stored."""
    return f"{status.st_ino}-{status.st_mtime_ns}"


class Sidecars:
    """The metadata files, all in one folder."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def write(self, status: os.stat_result, name: str, metadata: Mapping[str, str]) -> None:
        """Stores the metadata of an object about to be called `name`, so that it survives a loss of power."""
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
        """Removes the metadata of a file that no longer exists."""
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
