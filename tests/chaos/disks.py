"""Small file systems for tests: mounted over a folder, filled up, made read-only. They need root."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Disk:
    """A tmpfs at `path`."""

    path: Path

    @property
    def _ballast(self) -> Path:
        return self.path / ".ballast"

    def fill(self, but: int = 0) -> None:
        """Leaves about `but` bytes free."""
        with self._ballast.open("wb", buffering=0) as ballast:
            while (size := self._free() - but) > 0:
                try:
                    os.posix_fallocate(ballast.fileno(), 0, size)
                    return
                except OSError as error:  # somebody else took some meanwhile
                    if error.errno != errno.ENOSPC:
                        raise

    def _free(self) -> int:
        status = os.statvfs(self.path)
        return status.f_bavail * status.f_bsize

    def clear(self) -> None:
        """What `fill` took is free again."""
        self._ballast.unlink()

    def remount(self, how: str) -> None:
        """`ro` or `rw`."""
        subprocess.run(["mount", "-o", f"remount,{how}", str(self.path)], check=True)


@contextmanager
def mounted(path: Path, megabytes: int) -> Iterator[Disk]:
    """A disk of that size over the folder `path`, which is made; skips the test where nothing can be mounted."""
    path.mkdir(parents=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"no disk can be mounted here (it takes root): {done.stderr.strip()}")
    try:
        yield Disk(path)
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)
