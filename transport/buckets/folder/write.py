"""How an object appears in a folder: complete, with its metadata, in one rename; or not at all."""

from __future__ import annotations

import fcntl
import os
import stat
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from transport.bucket import ABSENT, AccessRefused, BucketError, ObjectInfo, PreconditionFailed
from transport.buckets.folder.files import (
    HIDDEN,
    Sidecars,
    attach,
    file_status,
    object_info,
    open_folder,
    sidecar_key,
)

_CLOCK_PATIENCE = 1.0  # seconds; a kernel's coarse clock moves on every 10 ms at the latest


@dataclass
class Temporary:
    """A file on its way to become an object; `file` is its descriptor."""

    path: str
    file: int
    committed: bool = False

    def unlink(self) -> None:
        with suppress(FileNotFoundError):  # another program removed the hidden folder
            os.unlink(self.path)


class Commits:
    """The one place where names below `root` change: temporary files, the lock, the rename, the removal."""

    def __init__(self, root: str) -> None:
        self.root = root
        self._tmp, self._meta, self._lock = (os.path.join(root, HIDDEN, part) for part in ("tmp", "meta", "lock"))
        self.sidecars = Sidecars(self._meta)

    def prepare(self) -> None:
        """Makes the bucket's own folders where they are missing; the root has to be there."""
        for folder in (f"{self.root}/{HIDDEN}", self._tmp, self._meta):
            try:
                os.mkdir(folder)
            except FileExistsError:
                if os.path.islink(folder) or not os.path.isdir(folder):
                    raise AccessRefused(
                        f"{folder} must be a folder of the bucket's own; remove what is there"
                    ) from None

    def create(self) -> Temporary:
        """A new temporary file, locked so that another process's `sweep` leaves it alone."""
        while True:
            path = f"{self._tmp}/{os.getpid()}-{uuid.uuid4().hex}"
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
            try:
                file = os.open(path, flags, 0o666)
            except FileNotFoundError:
                self.prepare()  # another program removed the hidden folder
                file = os.open(path, flags, 0o666)
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file).st_nlink:
                return Temporary(path, file)
            os.close(file)  # a sweep came between the two calls

    def discard(self, temporary: Temporary) -> None:
        """Lets go of a temporary file, and removes it unless it has become an object."""
        try:
            if not temporary.committed:
                self.sidecars.remove(os.fstat(temporary.file))  # first: the next file with this inode must not find it
                temporary.unlink()
        finally:
            os.close(temporary.file)

    def commit(
        self,
        temporary: Temporary,
        name: str,
        parts: list[str],
        metadata: Mapping[str, str],
        if_generation: int | None,
    ) -> ObjectInfo:
        """Gives the temporary file the object's name, with `metadata`, if the precondition holds then."""
        folder = open_folder(self.root, parts[:-1], create=True)
        try:
            # A writer that is already too late need not wait for the disk.
            _refuse_unless(if_generation, file_status(folder, parts[-1]), name)
            beside = bool(metadata) and not attach(temporary.file, metadata)
            os.fsync(temporary.file)
            if beside:
                self.sidecars.write(os.fstat(temporary.file), name, metadata)
            with self.locked():
                replaced = file_status(folder, parts[-1])
                _refuse_unless(if_generation, replaced, name)
                if replaced:
                    _await_later_ctime(temporary.file, replaced.st_ctime_ns, name)
                os.replace(temporary.path, parts[-1], dst_dir_fd=folder)
                temporary.committed = True
                committed = os.fstat(temporary.file)
            if replaced:
                self.sidecars.remove(replaced)
            os.fsync(folder)
        finally:
            os.close(folder)
        return object_info(name, committed, metadata)

    def remove(self, name: str, parts: list[str], if_generation: int | None) -> bool:
        """Removes an object if the precondition holds; False where there is none.

        Not synced: after a loss of power the object may be back, as if it had been removed a moment too late.
        """
        folder = open_folder(self.root, parts[:-1])
        try:
            with self.locked() as lock:
                standing = file_status(folder, parts[-1])
                if standing is None or not stat.S_ISREG(standing.st_mode):
                    return False
                _refuse_unless(if_generation, standing, name)
                # The next object of this name must get another generation, even if it is written at once.
                _await_later_ctime(lock, standing.st_ctime_ns, name)
                os.unlink(parts[-1], dir_fd=folder)
        finally:
            os.close(folder)
        self.sidecars.remove(standing)
        return True

    @contextmanager
    def locked(self) -> Iterator[int]:
        """Holds the bucket's lock, between threads and processes; gives its descriptor."""
        while True:
            lock = os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not _same_file(lock, self._lock):
                    continue  # the lock file was removed meanwhile: no other process sees this lock
                yield lock
                return
            finally:
                os.close(lock)

    def sweep(self) -> int:
        """Removes temporary files whose writer is dead, and metadata whose object is gone."""
        removed = 0
        for entry in os.listdir(self._tmp):
            removed += self._sweep_temporary(f"{self._tmp}/{entry}")
        for key, name in self.sidecars.names():
            if not self._in_use(key, name):
                with self.locked():  # no rename can happen now: an object in the making is still a temporary file
                    if not self._in_use(key, name) and key.partition("-")[0] not in self._temporary_inodes():
                        self.sidecars.discard(key)
                        removed += 1
        return removed

    def _sweep_temporary(self, path: str) -> int:
        try:
            file = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
        except FileNotFoundError:
            return 0
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not _same_file(file, path):
                return 0  # committed meanwhile
            self.sidecars.remove(os.fstat(file))
            os.unlink(path)
        except BlockingIOError:
            return 0  # its writer lives
        finally:
            os.close(file)
        return 1

    def _in_use(self, key: str, name: str) -> bool:
        if not name:
            return False
        try:
            return sidecar_key(os.lstat(f"{self.root}/{name}")) == key
        except (FileNotFoundError, NotADirectoryError):
            return False

    def _temporary_inodes(self) -> set[str]:
        with os.scandir(self._tmp) as entries:
            return {str(entry.inode()) for entry in entries}


def _refuse_unless(if_generation: int | None, standing: os.stat_result | None, name: str) -> None:
    if standing is not None and not stat.S_ISREG(standing.st_mode):
        kind = "a folder" if stat.S_ISDIR(standing.st_mode) else "a link or a device"
        raise AccessRefused(f"{name!r} cannot be written: {kind} has that name; remove it")
    found = standing.st_ctime_ns if standing else ABSENT
    if if_generation is not None and if_generation != found:
        wanted = f"generation {if_generation}" if if_generation else "absent"
        raise PreconditionFailed(f"{name!r} is {f'of generation {found}' if found else 'absent'}, not {wanted}")


def _await_later_ctime(file: int, earlier: int, name: str) -> None:
    """Waits until a change of `file` gets a ctime after `earlier` (ns): a ctime moves in ticks of up to 10 ms.

    The file's own ctime is read, not a clock of ours: generations are made of the file system's time.
    """
    deadline = time.monotonic() + _CLOCK_PATIENCE
    while os.fstat(file).st_ctime_ns <= earlier:
        patient = time.monotonic() < deadline  # asked first: even a slow machine then reads the ctime once more
        os.fchmod(file, stat.S_IMODE(os.fstat(file).st_mode))  # changes nothing but the ctime
        ahead = earlier - os.fstat(file).st_ctime_ns
        if ahead >= 0 and not patient:
            raise BucketError(
                f"{name!r} is dated {ahead / 1e9:.0f} s in the future, so its next generation would not be a later one."
                " Was the clock set back? Correct it, or `touch` the file"
            )
        if ahead >= 0:
            time.sleep(0.001)


def _same_file(file: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(file), os.lstat(path))
    except FileNotFoundError:
        return False
