"""A stream, and the SHA-256 of what was read of it."""

from __future__ import annotations

import hashlib
import io
from typing import BinaryIO


class Hashed(io.RawIOBase):
    """A stream, and the SHA-256 of what was read of it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._digest = stream, hashlib.sha256()

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self._digest.update(data)
        return data

    def sha256(self) -> str:
        return self._digest.hexdigest()
