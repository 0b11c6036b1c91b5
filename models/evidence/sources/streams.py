"""Objects of a bucket as seekable streams, and the rows of a CSV stream, packed or not."""

from __future__ import annotations

import csv
import gzip
import io
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any, BinaryIO

from transport.bucket import Bucket

MEMORY_OF_SPOOL = 8 << 20


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


def spooled(stack: ExitStack, bucket: Bucket, name: str, generation: int) -> BinaryIO:
    """An object's content, there until `stack` is closed. Raises ObjectNotFound."""
    spool: Any = tempfile.SpooledTemporaryFile(max_size=MEMORY_OF_SPOOL)  # noqa: SIM115 - `stack` closes it
    stack.enter_context(spool)
    with bucket.read(name, generation) as stream:
        shutil.copyfileobj(stream, spool, 1 << 20)
    spool.seek(0)
    return spool  # type: ignore[no-any-return]
