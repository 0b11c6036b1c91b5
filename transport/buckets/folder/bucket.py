"""The adapter `FolderBucket`: a folder of this machine as a bucket, shared by any number of processes.

A generation is the file's `st_ctime_ns`: it grows when a file is replaced, even by a file with an older mtime. Only
local file systems are meant: rename, flock and fsync have to mean what they say.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import BinaryIO, cast

from transport.bucket import AccessRefused, LeftOut, ObjectInfo, ObjectNotFound
from transport.buckets.folder.files import (
    PinnedFile,
    attached,
    check_generation,
    copy_file,
    explained,
    file_status,
    object_info,
    open_folder,
    split_name,
    write_all,
)
from transport.buckets.folder.listing import list_files
from transport.buckets.folder.write import Commits

_BUFFER = 256 * 1024


class FolderBucket:
    """The objects are the regular files below a folder; it is made where it does not exist.

    The folder `.understudy/` beside them has temporary files, metadata and a lock. Links are neither listed nor
    followed, and no name leads out of the folder (AccessRefused). An object's `metadata` is lost when a person rewrites
    or copies its file. A file rewritten in place while it is read counts as gone (ObjectNotFound).
    """

    def __init__(self, url: str) -> None:
        if "://" in url:
            raise AccessRefused(f"{url!r} is no bucket this program knows: use gs://name, or the path of a folder")
        self._root = os.path.realpath(url)
        self._commits = Commits(self._root)
        try:
            os.makedirs(self._root, exist_ok=True)
        except OSError as error:
            raise AccessRefused(f"cannot make the folder {self._root!r}: {error.strerror}") from error
        with explained(self._root, "make .understudy"):
            self._commits.prepare()

    @property
    def name(self) -> str:
        return os.path.basename(self._root)

    @property
    def url(self) -> str:
        return self._root

    @property
    def checks_reads(self) -> bool:
        return False

    def objects(
        self,
        prefix: str = "",
        *,
        start: str = "",
        recursive: bool = True,
        without: Sequence[str] = (),
        left_out: LeftOut | None = None,
    ) -> Iterator[ObjectInfo]:
        with explained(self._root, "list"):
            for name, status in list_files(self._root, prefix, start, recursive, without, left_out):
                yield object_info(name, status)

    def stat(self, name: str) -> ObjectInfo | None:
        parts = split_name(name)
        with explained(self._root, f"look at {name!r}"):
            try:
                folder = open_folder(self._root, parts[:-1])
            except FileNotFoundError:
                self._root_stands()
                return None
            try:
                status = file_status(folder, parts[-1])
                while status is not None and stat.S_ISREG(status.st_mode):
                    metadata = attached(status, folder, parts[-1]) or self._commits.sidecars.read(status)
                    again = file_status(folder, parts[-1]) if not metadata else status
                    if again is not None and again.st_ctime_ns == status.st_ctime_ns:
                        return object_info(name, status, metadata)
                    status = again  # replaced between the two looks: that took its metadata away
                return None
            finally:
                os.close(folder)

    def _root_stands(self) -> None:
        """Tells a missing object from a missing bucket: raises FileNotFoundError for the latter."""
        os.stat(self._root)

    @contextmanager
    def read(self, name: str, generation: int | None = None) -> Iterator[BinaryIO]:
        file, generation = self._open(name, generation)
        raw = PinnedFile(file, generation, name, self._root)
        with io.BufferedReader(raw, _BUFFER) as stream:
            yield cast(BinaryIO, stream)

    def _open(self, name: str, generation: int | None) -> tuple[int, int]:
        """A descriptor of that generation (or the newest), and which one it is."""
        parts = split_name(name)
        with explained(self._root, f"read {name!r}"):
            try:
                folder = open_folder(self._root, parts[:-1])
            except FileNotFoundError:
                self._root_stands()
                raise ObjectNotFound(f"{name!r} is not in the folder {self._root!r}") from None
            try:
                status = file_status(folder, parts[-1])
                if status is None or not stat.S_ISREG(status.st_mode):
                    raise ObjectNotFound(f"{name!r} is not in the folder {self._root!r}")
                # O_NONBLOCK: the file may just have become a named pipe, and opening one would wait.
                file = os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
            except FileNotFoundError:
                raise ObjectNotFound(f"{name!r} is not in the folder {self._root!r}") from None
            except PermissionError:
                mode = "" if status is None else f" (its mode is {stat.S_IMODE(status.st_mode):03o})"
                raise AccessRefused(
                    f"this user may not read {name!r} in the folder {self._root!r}{mode}; give it the right to"
                ) from None
            finally:
                os.close(folder)
            pinned = os.fstat(file).st_ctime_ns if generation is None else generation
            try:
                check_generation(file, pinned, name)
            except ObjectNotFound:
                os.close(file)
                raise
            return file, pinned

    def write(
        self,
        name: str,
        *,
        if_generation: int | None = None,
        metadata: Mapping[str, str] | None = None,
        content_type: str = "application/octet-stream",
    ) -> FolderWriter:
        return FolderWriter(self._commits, name, if_generation, metadata)

    def copy(
        self,
        source: str,
        source_generation: int,
        target: str,
        *,
        if_generation: int | None = None,
        metadata: Mapping[str, str] | None = None,
        content_type: str = "application/octet-stream",
    ) -> ObjectInfo:
        file, _ = self._open(source, source_generation)
        try:
            with FolderWriter(self._commits, target, if_generation, metadata) as writer:
                with explained(self._root, f"copy {source!r} to {target!r}"):
                    writer.append_file(file)
                check_generation(file, source_generation, source)
        finally:
            os.close(file)
        return writer.info

    def delete(self, name: str, *, if_generation: int | None = None) -> bool:
        parts = split_name(name)
        with explained(self._root, f"delete {name!r}"):
            try:
                return self._commits.remove(name, parts, if_generation)
            except FileNotFoundError:
                self._root_stands()
                return False

    def sweep(self) -> int:
        with explained(self._root, "sweep"):
            return self._commits.sweep()

    def verify(self) -> None:
        with explained(self._root, "list"):
            next(list_files(self._root, recursive=False), None)
        with explained(self._root, "write"):
            temporary = self._commits.create()
            try:
                os.write(temporary.file, b"verify")
                os.fsync(temporary.file)
                with self._commits.locked():
                    pass
            finally:
                self._commits.discard(temporary)

    def close(self) -> None:
        """Nothing is held open between calls."""


class FolderWriter:
    """An object being written to a temporary file; the end of the `with` block commits it."""

    def __init__(
        self, commits: Commits, name: str, if_generation: int | None, metadata: Mapping[str, str] | None
    ) -> None:
        self._commits, self._name, self._parts = commits, name, split_name(name)
        self._if_generation = if_generation
        self._metadata = {} if metadata is None else metadata  # not copied: it is read when the object is committed
        self._pending = bytearray()
        self._info: ObjectInfo | None = None

    def __enter__(self) -> FolderWriter:
        with self._explained():
            self._temporary = self._commits.create()
        return self

    def write(self, data: bytes, /) -> int:
        self._pending += data
        if len(self._pending) >= _BUFFER:
            with self._explained():
                self._flush()
        return len(data)

    def append_file(self, file: int) -> None:
        """Appends what is in a file from its descriptor's position on, inside the kernel where that is possible."""
        self._flush()
        copy_file(file, self._temporary.file)

    def _flush(self) -> None:
        write_all(self._temporary.file, self._pending)
        self._pending.clear()

    @property
    def info(self) -> ObjectInfo:
        if self._info is None:
            raise ValueError(f"{self._name!r} is not committed: its `with` block has not ended, or failed")
        return self._info

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        with self._explained():
            try:
                if kind is None:
                    self._flush()
                    self._info = self._commits.commit(
                        self._temporary, self._name, self._parts, self._metadata, self._if_generation
                    )
            finally:
                self._commits.discard(self._temporary)

    def _explained(self) -> AbstractContextManager[None]:
        return explained(self._commits.root, f"write {self._name!r}")
