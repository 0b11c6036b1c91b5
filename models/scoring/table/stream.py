"""The bytes of a CSV on their way to the parser: looked at before they are read, and made valid UTF-8."""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from typing import BinaryIO

from models.scoring.table.cells import UNREADABLE
from models.scoring.table.limits import Limits

GZIP_DAMAGE = (gzip.BadGzipFile, EOFError, zlib.error)
CTRL_Z = b"\x1a"  # the end of a text file, as DOS wrote it


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

    def skip(self, size: int) -> None:
        """Passes over bytes that were looked at."""
        self._ahead = self._ahead[size:]

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        taken = self._ahead[:size] if size >= 0 else self._ahead
        self._ahead = self._ahead[len(taken) :]
        if not taken or size < 0:
            taken += self._stream.read(size)
        return taken


class Utf8(io.RawIOBase):
    """A stream in some encoding as valid UTF-8, with UNREADABLE for each byte that is no part of a character.

    Arrow gives a malformed row to its handler as text, and the whole file up where that cannot be decoded. A Ctrl-Z
    behind all else is left out.
    """

    def __init__(self, stream: BinaryIO, encoding: str) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(encoding)(_SUBSTITUTE)
        self._may_be_plain = codecs.lookup(encoding).name in ("utf-8", "utf-8-sig")
        self._held = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """About as many bytes as asked for; none at the end."""
        while True:
            raw = self._stream.read(size)
            if not raw:
                self._held = b""
                return self._decoder.decode(b"", final=True).encode()
            raw = self._held + raw
            self._held = CTRL_Z if raw.endswith(CTRL_Z) else b""
            raw = raw.removesuffix(CTRL_Z)
            if self._may_be_plain and raw.isascii() and not self._decoder.getstate()[0]:
                data = raw
            else:
                data = self._decoder.decode(raw).encode()
            if data:
                return data


class Blocks(io.RawIOBase):
    """A stream in reads of just the size asked for, since Arrow takes one for a block; `end` behind its last byte.

    `quotes` is True once a quote has been read; `count`: bytes read, without `end`.
    """

    def __init__(self, stream: io.RawIOBase, end: bytes) -> None:
        self._stream = stream
        self._end = end
        self._ready = bytearray()
        self.quotes = False
        self.count = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        while len(self._ready) < size:
            more = self._stream.read(size - len(self._ready))
            self.count += len(more)
            if not more:
                more, self._end = self._end, b""
                if not more:
                    break
            self.quotes = self.quotes or b'"' in more
            self._ready += more
        taken = bytes(self._ready[:size])
        del self._ready[:size]
        return taken


def _substitute(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return UNREADABLE * (error.end - error.start), error.end


_SUBSTITUTE = "understudy.substitute"
codecs.register_error(_SUBSTITUTE, _substitute)
