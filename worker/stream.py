"""The bytes of a CSV on their way to the parser: looked at before they are read, and made valid UTF-8."""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from typing import BinaryIO

from worker.limits import Limits

UNREADABLE = "\x1a"  # ASCII's own sign for a character that cannot be represented
GZIP_DAMAGE = (gzip.BadGzipFile, EOFError, zlib.error)


class Stored(io.RawIOBase):
    """A file's bytes as they are stored, counted. Raises Unreadable beyond the limit, however big it was said to be."""

    def __init__(self, stream: BinaryIO, limits: Limits) -> None:
        self._stream, self._limits = stream, limits
        self.count = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self.count += len(data)
        self._limits.check_size(self.count)
        return data


class Unpacked(io.RawIOBase):
    """What a gzip file unpacks to. Raises Unreadable as soon as that is out of proportion to what was read for it."""

    def __init__(self, packed: BinaryIO, stored: Stored, limits: Limits) -> None:
        self._stream = gzip.GzipFile(fileobj=packed)
        self._stored, self._limits = stored, limits
        self._count = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self._count += len(data)
        self._limits.check_unpacked(self._count, self._stored.count)
        return data


class Peeked(io.RawIOBase):
    """A stream whose first bytes can be looked at before they are read."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._ahead = b""

    def peek(self, size: int) -> bytes:
        """The next bytes: `size` or more, or all there are. Raises what reading raises where nothing came before it."""
        try:
            while len(self._ahead) < size and (more := self._stream.read(size - len(self._ahead))):
                self._ahead += more
        except GZIP_DAMAGE:
            if not self._ahead:
                raise
        return self._ahead

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        taken = self._ahead[:size] if size >= 0 else self._ahead
        self._ahead = self._ahead[len(taken) :]
        if not taken or size < 0:
            taken += self._stream.read(size)
        return taken


class Text(io.RawIOBase):
    """A stream as valid UTF-8 of the same length, and `end` behind its last byte.

    Arrow gives a malformed row to its handler as text, and the whole file up where that cannot be decoded.
    """

    def __init__(self, stream: io.RawIOBase, end: bytes) -> None:
        self._stream = stream
        self._end = end
        self._cut = b""  # the beginning of a character of which the rest is still to be read

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """As many bytes as asked for, until the end: Arrow takes what one read gives for a block."""
        taken = bytearray(self._cut)
        while len(taken) < size and (more := self._stream.read(size - len(taken))):
            taken += more
        at_end = len(taken) < size
        self._cut = b""
        if not taken.isascii():
            text, used = codecs.utf_8_decode(taken, _SUBSTITUTE, at_end)
            self._cut = bytes(taken[used:])
            taken = bytearray(text.encode())
        if at_end and len(taken) + len(self._end) <= size:
            taken += self._end
            self._end = b""
        return bytes(taken)


def _substitute(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return UNREADABLE * (error.end - error.start), error.end


_SUBSTITUTE = "understudy.substitute"
codecs.register_error(_SUBSTITUTE, _substitute)
