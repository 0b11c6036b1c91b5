"""Reads a Parquet file in batches of cells, as `models/scoring/table/read.py` reads a CSV."""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from models.scoring.table.carried import carried_places
from models.scoring.table.cells import encoded, strings
from models.scoring.table.dialect import choose_columns, each_name
from models.scoring.table.faults import FileFault, Unreadable
from models.scoring.table.limits import USUAL_LIMITS, Limits
from models.scoring.table.parquet.chunks import ENCRYPTED, MAGIC, Plan, plan_of, read_footer, rows_of
from models.scoring.table.parquet.texts import coded_texts, has_texts, is_text, longest, value_type
from models.scoring.table.parquet.thrift import NoThrift
from models.scoring.table.read import Batch
from models.scoring.table.stream import LOOKED_AT, Peeked, Stored, refuse_other_formats

_COPIED_AT_ONCE = 1 << 20
_READ_AT_ONCE = 1 << 18  # bytes of a column
_COPIED_CELLS = 16  # times a block: what ids and carried cells of one batch may take
_DAMAGE = (pa.ArrowException, OSError, NoThrift, ValueError, OverflowError)


class ParquetTable:
    """An open Parquet file: which of the wanted columns it has, and its batches; like Table in all else.

    Raises Unreadable, here and while read. The bytes are copied to a temporary file first, since the footer is last.
    """

    decimal_comma = False

    def __init__(
        self,
        stream: BinaryIO,
        required: Sequence[str] | None,
        optional: Sequence[str] = (),
        limits: Limits = USUAL_LIMITS,
    ) -> None:
        self._limits = limits
        self._file: Any = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the table
        weakref.finalize(self, self._file.close)
        self._size = _copied(stream, self._file, limits)
        try:
            self._groups = read_footer(self._file, self._size)
            opened = self._reader()
            self._meta, schema = opened.metadata, opened.schema_arrow
        except _DAMAGE as error:
            raise _damaged(error) from None
        limits.check_header(schema.names)
        limits.check_rows(self._meta.num_rows)
        self.columns = each_name(schema.names) if required is None else choose_columns(schema.names, required, optional)
        for name, place in self.columns.items():
            _refuse_without_texts(name, schema.field(place).type)
        self.carried = {
            name: place if place is not None and has_texts(schema.field(place).type) else None
            for name, place in carried_places(schema.names, limits.carry).items()
        }
        self._coded = set(required or ())
        self._places = sorted({*self.columns.values(), *(at for at in self.carried.values() if at is not None)})
        self._leaf = _leaves(schema)
        self._kinds = schema.types

    def carried_type(self, name: str) -> pa.DataType:
        """Of a carried column: text, or what it holds in the file."""
        place = self.carried[name]
        return pa.string() if place is None or self._is_text(place) else value_type(self._kinds[place])

    def batches(self) -> Iterator[Batch]:
        """All rows, in order; memory stays within a few blocks, whatever the row groups are."""
        done = unpacked = 0
        try:
            for group in (at for at, of in enumerate(self._groups) if of.rows):
                plan = self._plan(group)
                unpacked += plan.unpacked
                self._limits.check_unpacked(unpacked, self._size)
                for part in self._parts(group, plan):
                    batch = self._batch(done, part)
                    unpacked += _written(batch)
                    self._limits.check_unpacked(unpacked, self._size)
                    done += batch.rows
                    yield batch
        except _DAMAGE as error:
            raise _damaged(error, f" after row {done}") from None
        if done != self._meta.num_rows:
            raise _damaged(NoThrift("fewer rows than the footer tells"), f" after row {done}")

    def _reader(self, leaves: Sequence[int] = ()) -> Any:
        """The file open; values of the columns `leaves` are read as places in their dictionaries."""
        known = getattr(self, "_meta", None)
        return pq.ParquetFile(
            self._file,
            metadata=known,
            read_dictionary=[known.schema.column(leaf).path for leaf in leaves] if known else None,
            buffer_size=_READ_AT_ONCE,
            pre_buffer=False,
            page_checksum_verification=True,
            arrow_extensions_enabled=False,
        )

    def _plan(self, group: int) -> Plan:
        leaves = {self._leaf[place]: self._kinds[place] for place in self._places}
        grown = [leaf for leaf, kind in leaves.items() if pa.types.is_dictionary(kind)]
        return plan_of(self._file, self._size, self._groups[group], list(leaves), grown, self._limits)

    def _parts(self, group: int, plan: Plan) -> Iterator[dict[int, pa.Array]]:
        """Place of a column → its values, of so many rows as may be worked on at once."""
        rows, leaves = rows_of(plan.row_bytes, self._limits), [self._leaf[place] for place in self._places]
        if plan.unsure:
            first = next(
                self._reader(plan.unsure).reader.iter_batches(1, [group], list(plan.unsure), use_threads=False)
            )
            dictionaries = sum(longest(coded_texts(column)) for column in first.columns)
            rows = rows_of(plan.row_bytes + dictionaries, self._limits)
        copied = [at for name, at in (*self.columns.items(), *self.carried.items()) if name not in self._coded]
        for batch in self._reader(plan.dictionaries).reader.iter_batches(rows, [group], leaves, use_threads=False):
            found = dict(zip(self._places, batch.columns, strict=True))
            cells = sum(longest(found[at].dictionary) for at in copied if at is not None and _is_texts(found[at]))
            step = max(1, _COPIED_CELLS * self._limits.block_bytes // max(cells, 1))
            for start in range(0, batch.num_rows, step):
                yield {place: values.slice(start, step) for place, values in found.items()}

    def _batch(self, done: int, values: dict[int, pa.Array]) -> Batch:
        texts = {*self.columns.values(), *(at for at in self.carried.values() if at is not None and self._is_text(at))}
        meant = {place: coded_texts(values[place]) for place in texts}
        for name, place in (*self.columns.items(), *self.carried.items()):
            if place in meant:
                self._check_fields(meant[place], done, name)
        cells = {name: meant[at] if name in self._coded else strings(meant[at]) for name, at in self.columns.items()}
        carried = {
            name: strings(meant[at]) if self._is_text(at) else _as_it_is(values[at])
            for name, at in self.carried.items()
            if at is not None
        }
        rows = len(next(iter(values.values())))
        return Batch(done + 1, rows, np.arange(rows), cells, {}, carried)

    def _is_text(self, place: int) -> bool:
        return is_text(value_type(self._kinds[place]))

    def _check_fields(self, cells: pa.Array, done: int, name: str) -> None:
        """Raises Unreadable where a field is too long."""
        size = longest(cells)
        if size > self._limits.max_field_bytes:
            texts, codes = encoded(cells)
            code = pc.index(pc.binary_length(texts), size).as_py()
            self._limits.check_field(size, done + 1 + int(np.argmax(codes == code)), name)


def _copied(stream: BinaryIO, file: BinaryIO, limits: Limits) -> int:
    """Copies a Parquet file to its end; gives its size in bytes. Raises Unreadable where it is none."""
    given = Peeked(cast(BinaryIO, Stored(stream, limits)))
    start = given.peek(LOOKED_AT)
    if not start:
        raise Unreadable(FileFault.EMPTY, "the file is empty")
    if start.startswith(ENCRYPTED):
        raise Unreadable(FileFault.FORMAT, "the Parquet file is encrypted: save it without encryption")
    if not start.startswith(MAGIC):
        refuse_other_formats(start, "Parquet")
        raise Unreadable(FileFault.FORMAT, "the file is called .parquet and is none: if it is a CSV, call it .csv")
    size = 0
    while block := given.read(_COPIED_AT_ONCE):
        size += file.write(block)
    file.flush()
    return size


def _leaves(schema: pa.Schema) -> list[int]:
    """Of each column at the top, its place among the columns that are stored: a struct has several of those."""
    found, at = [], 0
    for kind in schema.types:
        found.append(at)
        at += _stored(kind)
    return found


def _stored(kind: pa.DataType) -> int:
    parts = [kind.field(at).type for at in range(kind.num_fields)] if pa.types.is_nested(kind) else []
    return sum(map(_stored, parts)) if parts else 1


def _refuse_without_texts(name: str, kind: pa.DataType) -> None:
    if not has_texts(kind):
        raise Unreadable(
            FileFault.HEADER,
            f"the column is of the Parquet type {str(kind)[:80]}, and a cell is a number, a text, true or false, a date"
            " or a time: write it as one of these",
            name,
        )


def _as_it_is(values: pa.Array) -> pa.Array:
    """Values as they stand, those of a dictionary in full. Raises ArrowInvalid where a place in it is none."""
    values.validate(full=True)
    return values.cast(value_type(values.type))


def _is_texts(values: pa.Array) -> bool:
    return pa.types.is_dictionary(values.type) and is_text(values.type.value_type)


def _written(batch: Batch) -> int:
    """Bytes of a batch as a CSV has them at the least: the separators, and the cells that are copied."""
    copied = [cells for cells in (*batch.cells.values(), *batch.carried.values()) if pa.types.is_string(cells.type)]
    return batch.rows * len(batch.cells) + sum(pc.sum(pc.binary_length(cells)).as_py() or 0 for cells in copied)


def _damaged(error: Exception, where: str = "") -> Unreadable:
    """What to raise of an error that came of the file. A lack of memory is raised again: it need not be the file's."""
    if isinstance(error, MemoryError):
        raise error
    said = (str(error).splitlines() or [type(error).__name__])[0][:200]
    return Unreadable(FileFault.DAMAGED, f"the Parquet data is damaged, cut short or encrypted{where}: {said}")
