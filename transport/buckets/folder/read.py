"""Reading one generation of a file, and noticing when it is no longer that."""

from __future__ import annotations

import errno
import io
import os
from typing import TYPE_CHECKING

from transport.bucket import ObjectNotFound
from transport.buckets.folder.names import explained

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_CHUNK = 1024 * 1024
_NOT_IN_KERNEL = {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM}


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
