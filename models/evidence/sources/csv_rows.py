"""The rows of a CSV stream, packed or not."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, BinaryIO


def csv_rows(stream: BinaryIO, errors: str = "strict") -> Iterator[list[str]]:
    """The rows of a seekable stream, the header first; blank lines are none. The stream stays open.

    `errors`: for bytes that are not UTF-8, as in `bytes.decode`. Raises csv.Error, UnicodeDecodeError, and what gzip
    raises for damaged data (EOFError, OSError).
    """
    packed = stream.read(2) == b"\x1f\x8b"
    stream.seek(0)
    plain: Any = gzip.GzipFile(fileobj=stream) if packed else stream
    text = io.TextIOWrapper(plain, encoding="utf-8-sig", errors=errors, newline="")
    try:
        yield from (row for row in csv.reader(text) if row)
    finally:
        with suppress(ValueError):  # the stream may be closed already
            text.detach()
