"""Reads a CSV in batches of raw cells. Rows that are no rows of this table keep their place."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, cast
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from worker.limits import USUAL_LIMITS, Limits, Unreadable
from worker.stream import GZIP_DAMAGE, Peeked, Stored, Text, Unpacked

MAX_HEADER_BYTES = 1 << 20
MOST_AT_FIRST = 100_000  # rows with a wrong number of fields at the beginning of a file, beyond which it is no table


@dataclass(frozen=True)
class Batch:
    """Consecutive rows of the file, the first of which is number `first_row` (from 1, without the header).

    `rows`: how many there are; `positions`: [n] which of them (from 0) could be split into cells; `cells`: column →
    string array [n], with UNREADABLE for each byte that is not UTF-8; `malformed`: position → what is wrong with the
    row.
    """

    first_row: int
    rows: int
    positions: np.ndarray[Any, Any]
    cells: dict[str, pa.Array]
    malformed: dict[int, str]


class Table:
    """An open CSV: which of the wanted columns it has, and its batches. Raises Unreadable, here and while read."""

    def __init__(
        self, stream: BinaryIO, required: Sequence[str], optional: Sequence[str] = (), limits: Limits = USUAL_LIMITS
    ) -> None:
        self._limits, self._block_bytes = limits, limits.block_bytes
        stored = Stored(stream, limits)
        self._stream = Peeked(cast(BinaryIO, stored))
        if self._stream.peek(2) == b"\x1f\x8b":
            self._stream = Peeked(cast(BinaryIO, Unpacked(cast(BinaryIO, self._stream), stored, limits)))
        try:
            header = read_header(self._stream.peek(MAX_HEADER_BYTES))
        except GZIP_DAMAGE as error:
            raise Unreadable(f"the gzip data is damaged or cut short: {error}") from None
        limits.check_header(header)
        self._raw_names = choose_columns(header, required, optional)
        self.columns = frozenset(self._raw_names)
        self._fields = len(header)

    def batches(self) -> Iterator[Batch]:
        """All rows, in order, in batches of about `block_bytes`; memory stays within a few of them."""
        malformed: dict[int, str] = {}
        reasons: dict[int, str] = {}  # one text for all rows of a length
        end = f"{uuid4().hex[:16]}{',' * self._fields}"  # a last row of ours, with a field too many
        ended = False
        # At the beginning of a file Arrow skips such rows before it gives any batch; later two blocks of them at most.
        most = max(self._block_bytes, MOST_AT_FIRST)

        def set_aside(row: Any) -> str:
            nonlocal ended
            if row.text == end:
                ended = True
                return "skip"
            if len(malformed) >= most:
                return "error"
            reason = f"has {row.actual_columns} fields, the header has {row.expected_columns}"
            # Arrow counts records from 1 with the header; blank lines are no records.
            malformed[row.number - 2] = reasons.setdefault(row.actual_columns, reason)
            return "skip"

        done = 0
        try:
            reader = pacsv.open_csv(
                pa.PythonFile(Text(self._stream, f"\n{end}\n".encode()), mode="r"),
                read_options=pacsv.ReadOptions(use_threads=False, block_size=self._block_bytes),
                parse_options=pacsv.ParseOptions(newlines_in_values=True, invalid_row_handler=set_aside),
                convert_options=pacsv.ConvertOptions(
                    include_columns=list(self._raw_names.values()),
                    column_types={raw: pa.string() for raw in self._raw_names.values()},
                    strings_can_be_null=False,
                ),
            )
            for record_batch in reader:
                cells = {name: record_batch.column(i) for i, name in enumerate(self._raw_names)}
                batch = _batch_from(done, record_batch.num_rows, cells, malformed)
                self._check(batch)
                done += batch.rows
                if batch.rows:
                    yield batch
        except pa.ArrowInvalid as error:
            if len(malformed) >= most:
                raise Unreadable(f"the first {most:,} rows have more or fewer fields than the header") from None
            raise _why_unreadable(error, done, self._block_bytes) from None
        except GZIP_DAMAGE as error:
            raise Unreadable(f"the gzip data is damaged or cut short after row {done}: {error}") from None
        if malformed:
            none = {name: pa.array([], pa.string()) for name in self._raw_names}
            last = _batch_from(done, 0, none, malformed)
            self._check(last)
            done += last.rows
            yield last
        if not ended:
            # Arrow takes the rest of a file for one field then: rows would be missing without a word.
            raise Unreadable(f"a quote is opened and never closed, in row {done} or before")

    def _check(self, batch: Batch) -> None:
        self._limits.check_rows(batch.first_row + batch.rows - 1)
        for name, cells in batch.cells.items():
            sizes = pc.binary_length(cells)
            longest = pc.max(sizes).as_py() or 0
            if longest > self._limits.max_field_bytes:
                row = batch.first_row + int(batch.positions[pc.index(sizes, longest).as_py()])
                self._limits.check_field(longest, row, name)


def read_header(start: bytes) -> list[str]:
    """The column names in the first bytes of a file. Raises Unreadable where they hold no header."""
    if not start.strip():
        raise Unreadable("the file is empty")
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise Unreadable("the file is UTF-16 text; save it as UTF-8")
    if b"\0" in start:
        raise Unreadable("the file is no text: it has zero bytes")
    text = start.removeprefix(b"\xef\xbb\xbf").decode("utf-8", errors="replace")
    try:
        header = next((row for row in csv.reader(io.StringIO(text, newline="")) if row), [])
    except csv.Error as error:
        raise Unreadable(f"the header cannot be read as CSV: {error}") from None
    if any("�" in name for name in header):
        raise Unreadable("the header is not UTF-8 text; save the file as UTF-8")
    return header


def choose_columns(header: Sequence[str], required: Sequence[str], optional: Sequence[str]) -> dict[str, str]:
    """Wanted column → its name as the header spells it (blanks around it do not matter).

    Raises Unreadable where a required column is missing, or a wanted one stands twice.
    """
    found: dict[str, str] = {}
    wanted = {*required, *optional}
    for raw in header:
        name = raw if raw in wanted else raw.strip()
        if name not in wanted:
            continue
        if name in found:
            raise Unreadable(f"the header has the column {name!r} twice", name)
        found[name] = raw
    missing = [name for name in required if name not in found]
    if missing:
        hint = ""
        if len(header) == 1 and any(mark in header[0] for mark in ";\t|"):
            hint = "; the fields seem not to be separated by commas"
        elif not found:
            hint = "; is its first line a header?"
        raise Unreadable(f"the header lacks {_some(missing)} (it has {_some(header)}){hint}", missing[0])
    return found


def _batch_from(done: int, parsed: int, cells: dict[str, pa.Array], malformed: dict[int, str]) -> Batch:
    """Puts the malformed rows that lie before the last parsed one, or right behind it, back in their places."""
    here: dict[int, str] = {}
    rows = parsed
    for number in sorted(malformed):
        if number > done + rows:
            break  # a row that is not parsed yet lies between
        here[number - done] = malformed.pop(number)
        rows += 1
    positions = np.setdiff1d(np.arange(rows), np.fromiter(here, dtype=np.int64, count=len(here)), assume_unique=True)
    return Batch(done + 1, rows, positions, cells, here)


def _why_unreadable(error: Exception, done: int, block_bytes: int) -> Unreadable:
    text = str(error)
    if "straddling" in text:
        return Unreadable(
            f"behind row {done} a field in quotes never ends, or a row is longer than {block_bytes:,} bytes"
            " (BLOCK_BYTES)"
        )
    if "Empty CSV" in text:
        return Unreadable(f"the header never ends, or is longer than {block_bytes:,} bytes (BLOCK_BYTES)")
    return Unreadable(f"behind row {done}: {text.splitlines()[0][:200]}")


def _some(names: Sequence[str], most: int = 8) -> str:
    listed = ", ".join(repr(name[:60]) for name in names[:most])
    return listed if len(names) <= most else f"{listed} and {len(names) - most} more"
