"""The bytes of a file on their way to the parser: unpacked, known to be no other format, and made valid UTF-8."""

from __future__ import annotations

import codecs
import gzip
import io
import re
import zlib
from typing import BinaryIO, cast

from models.scoring.table.cells import UNREADABLE
from models.scoring.table.dialect import MAX_HEADER_BYTES, encoding_of
from models.scoring.table.faults import FileFault, Unreadable
from models.scoring.table.limits import Limits

GZIP_DAMAGE = (gzip.BadGzipFile, EOFError, zlib.error)
CTRL_Z = b"\x1a"  # the end of a text file, as DOS wrote it
MARKS = 4  # bytes that tell an encoding
UNPACKED_AT_ONCE = 1 << 16  # bytes; zlib and gzip hold what they give three times over

_UNPACK = "unpack it, and drop the CSV file that is in it"
_SAVE = "save it as CSV"
_BEGINS = (
    (b"\x1f\x8b", "gzip within gzip", "pack it once"),
    (b"\xfd7zXZ\0", "an xz archive", _UNPACK),
    (b"BZh", "a bzip2 archive", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "a zstd archive", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (b"Rar!", "a RAR archive", _UNPACK),
    (b"PAR1", "a Parquet file", "call it .parquet"),
    (b"ARROW1", "an Arrow file", _SAVE),
    (b"Obj\x01", "an Avro file", _SAVE),
    (b"\xd0\xcf\x11\xe0", "an Excel workbook (.xls)", _SAVE),
    (b"%PDF", "a PDF document", _SAVE),
    (b"SQLite format 3\0", "an SQLite database", _SAVE),
)
_HTML = re.compile(rb"\s*<(!doctype\s+html|html|head|body|table|\?xml)\b", re.IGNORECASE)
_JSON = re.compile(rb'\s*(\{\s*"|\[\s*[\[{])')
_UTF8_MARK = b"\xef\xbb\xbf"
LOOKED_AT = 4096  # bytes


def text_of(stream: BinaryIO, limits: Limits, encoding: str) -> Peeked:
    """What a file holds, unpacked, as UTF-8. Raises Unreadable where it is of another format, or gzip's own errors."""
    stored = Stored(stream, limits)
    plain = Peeked(cast(BinaryIO, stored))
    if plain.peek(2) == b"\x1f\x8b":
        plain = Peeked(cast(BinaryIO, Unpacked(cast(BinaryIO, plain), stored, limits)))
    start = plain.peek(MAX_HEADER_BYTES)
    refuse_other_formats(start)
    return Peeked(cast(BinaryIO, Utf8(cast(BinaryIO, plain), encoding_of(start[:MARKS], encoding))))


def damaged(error: Exception, where: str = "") -> Unreadable:
    return Unreadable(FileFault.DAMAGED, f"the gzip data is damaged or cut short{where}: {error}")


def refuse_other_formats(start: bytes, wanted: str = "CSV") -> None:
    """Raises Unreadable, with the format's name, where the first bytes of a file are those of another format."""
    what, instead = _other(start[:LOOKED_AT])
    if what:
        raise Unreadable(FileFault.FORMAT, f"the file is {what}, not {wanted}: {instead}")


def _other(start: bytes) -> tuple[str, str]:
    if start.startswith(b"PK\x03\x04"):
        workbook = b"[Content_Types].xml" in start or b"xl/" in start
        return ("an Excel workbook (.xlsx)", _SAVE) if workbook else ("a zip archive", _UNPACK)
    for begins, what, instead in _BEGINS:
        if start.startswith(begins):
            return what, instead
    text = start.removeprefix(_UTF8_MARK)
    if _HTML.match(text):
        return "an HTML or XML page", "where it was downloaded, the page may say why it is no file"
    return ("JSON", _SAVE) if _JSON.match(text) else ("", "")


class Stored(io.RawIOBase):
    """A file's bytes as they are stored, counted. Raises Unreadable beyond the limit on size."""

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
        data = self._stream.read(min(size, UNPACKED_AT_ONCE) if size >= 0 else size)
        self._count += len(data)
        self._limits.check_unpacked(self._count, self._stored.count)
        return data


class Peeked(io.RawIOBase):
    """A stream whose first bytes can be looked at before they are read."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._ahead = b""

    def peek(self, size: int) -> bytes:
        """The next bytes: `size` or more, or all there are. An error is raised only where no byte came before it."""
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

    Arrow passes a malformed row to its handler as text, and gives up the whole file where the row cannot be decoded. A
    Ctrl-Z at the very end is left out.
    """

    def __init__(self, stream: BinaryIO, encoding: str) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(encoding)(SUBSTITUTE)
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
    """A stream whose reads give exactly the size asked for, as Arrow takes a read for a block; then comes `end`.

    `quotes` is True once a quote has been read; `count`: bytes read, without `end`.
    """

    def __init__(self, stream: io.RawIOBase, end: bytes) -> None:
        self._stream = stream
        self._end = end
        self._ready = b""
        self.quotes = False
        self.count = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        parts, have = [self._ready] if self._ready else [], len(self._ready)
        while have < size:
            more = self._stream.read(size - have)
            self.count += len(more)
            if not more:
                more, self._end = self._end, b""
                if not more:
                    break
            self.quotes = self.quotes or b'"' in more
            parts.append(more)
            have += len(more)
        # Arrow reads far ahead. One read that gave the whole block is passed on as it is, without a copy.
        whole = b"".join(parts)
        self._ready = whole[size:]
        return whole[:size]


def _substitute(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return UNREADABLE * (error.end - error.start), error.end


SUBSTITUTE = "understudy.substitute"
codecs.register_error(SUBSTITUTE, _substitute)
