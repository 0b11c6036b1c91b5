"""Objects of a bucket as seekable streams, and the rows of a CSV stream, packed or not, or of a Parquet output."""

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


def table_rows(stream: BinaryIO, errors: str = "strict") -> Iterator[list[str]]:
    """The same of an output, which may be Parquet: its rows as a CSV has them, with "" for null."""
    start = stream.read(4)
    stream.seek(0)
    return _parquet_rows(stream) if start == b"PAR1" else csv_rows(stream, errors)


def _parquet_rows(stream: BinaryIO) -> Iterator[list[str]]:
    from pyarrow import string
    from pyarrow.parquet import ParquetFile

    # The columns of its own stand first; what is carried may be of types that are no texts.
    opened = ParquetFile(stream, buffer_size=1 << 18, pre_buffer=False)
    names = opened.schema_arrow.names
    own = names[: names.index("error") + 1]
    yield own
    for batch in opened.iter_batches(8192, columns=own, use_threads=False):
        columns = [column.cast(string()).fill_null("").to_pylist() for column in batch.columns]
        yield from map(list, zip(*columns, strict=True))


def spooled(stack: ExitStack, bucket: Bucket, name: str, generation: int) -> BinaryIO:
    """An object's content, there until `stack` is closed. Raises ObjectNotFound."""
    spool: Any = tempfile.SpooledTemporaryFile(max_size=MEMORY_OF_SPOOL)  # noqa: SIM115 - `stack` closes it
    stack.enter_context(spool)
    with bucket.read(name, generation) as stream:
        shutil.copyfileobj(stream, spool, 1 << 20)
    spool.seek(0)
    return spool  # type: ignore[no-any-return]
