"""How much of a row group is read at once, by the sizes of its pages; a file that would take too much is refused."""

from __future__ import annotations

import struct
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from models.scoring.table.faults import FileFault, Unreadable
from models.scoring.table.limits import MB, Limits
from models.scoring.table.parquet.pages import ParquetPage, pages
from models.scoring.table.parquet.thrift import I32, I64, NoThrift, Struct, read_struct

MAGIC, ENCRYPTED = b"PAR1", b"PARE"
MOST_ROWS = 16_384  # in a batch
_END_BYTES = 8  # the footer's length, and MAGIC
_MAX_FOOTER = 32 * MB
_MOST_STRUCTS = 1 << 18  # in a footer; Arrow takes up to a kilobyte for each
_PAGES_AT_ONCE = 256  # times a block: one page of each column is in memory, as it is stored and unpacked
_WIDE = 8  # bytes of a number
_TEXT = 6  # BYTE_ARRAY

_ROWS, _GROUPS = 3, 4  # of a FileMetaData
_COLUMNS, _GROUP_ROWS = 1, 3  # of a RowGroup
_META = 3  # of a ColumnChunk
_TYPE, _PACKED, _DATA_AT, _DICTIONARY_AT = 1, 7, 9, 11  # of a ColumnMetaData
_CHUNK = {_META: {_TYPE: I32, _PACKED: I64, _DATA_AT: I64, _DICTIONARY_AT: I64}}
_FOOTER = {_ROWS: I64, _GROUPS: [{_COLUMNS: [_CHUNK], _GROUP_ROWS: I64}]}


@dataclass(frozen=True)
class Group:
    """A row group: its rows, and its columns as the footer tells of them."""

    rows: int
    columns: list[Struct]


@dataclass(frozen=True)
class Plan:
    """How a row group is read: so many bytes a row, and the columns whose values stay places in a dictionary.

    `unsure`: columns of which some pages have such places, and others not: how long their values are, their dictionary
    alone can tell. `unpacked`: bytes of all pages.
    """

    row_bytes: float
    dictionaries: tuple[int, ...]
    unsure: tuple[int, ...]
    unpacked: int


def read_footer(file: BinaryIO, size: int) -> list[Group]:
    """The row groups of a file of `size` bytes. Raises Unreadable, NoThrift."""
    file.seek(max(0, size - _END_BYTES))
    length, magic = struct.unpack("<I4s", file.read(_END_BYTES).rjust(_END_BYTES, b"\0"))
    if magic == ENCRYPTED:
        raise Unreadable(FileFault.FORMAT, "the Parquet file is encrypted: save it without encryption")
    if magic != MAGIC or length > size - _END_BYTES - len(MAGIC):
        raise NoThrift("its end is missing, where its footer should be")
    if length > _MAX_FOOTER:
        raise Unreadable(
            FileFault.LIMIT,
            f"its footer has {length:,} bytes, more than the {_MAX_FOOTER:,} that are read: write larger row groups",
        )
    file.seek(size - _END_BYTES - length)
    footer, _ = read_struct(file.read(length), _FOOTER, _MOST_STRUCTS)
    groups = [Group(group.get(_GROUP_ROWS, -1), group.get(_COLUMNS, [])) for group in footer.get(_GROUPS, [])]
    if any(group.rows < 0 for group in groups) or sum(group.rows for group in groups) != footer.get(_ROWS):
        raise NoThrift("row groups with more or fewer rows than the footer tells")
    return groups


def plan_of(
    file: BinaryIO, size: int, group: Group, leaves: Collection[int], grown: Collection[int], limits: Limits
) -> Plan:
    """The plan for a row group of a file of `size` bytes. Raises Unreadable, NoThrift.

    `leaves`: the columns that are wanted; `grown`: those whose dictionaries Arrow keeps as long as the row group.
    """
    held, unpacked, row_bytes = 0, 0, 0.0
    dictionaries, unsure = [], []
    for leaf in leaves:
        column = group.columns[leaf].get(_META, {}) if leaf < len(group.columns) else {}
        found = _pages_of(file, size, column, group.rows)
        data = [page for page in found if not page.is_dictionary]
        unpacked += sum(page.size for page in found)
        kept = sum(page.size for page in found if page.is_dictionary or leaf in grown)
        held += kept + max((page.size + page.packed for page in data), default=0)
        own = [page.value_bytes for page in data if not page.takes_dictionary]
        if column.get(_TYPE) != _TEXT:
            row_bytes += _WIDE
        elif not own:
            dictionaries.append(leaf)
            row_bytes += _WIDE
        else:
            row_bytes += max(own)
            if data[0].takes_dictionary:
                unsure.append(leaf)
            elif len(own) < len(data):  # as no writer does it
                row_bytes += kept
    if held > _PAGES_AT_ONCE * limits.block_bytes:
        raise Unreadable(
            FileFault.LIMIT,
            f"its pages are too large: {held // MB:,} MB of them would be in memory at once, more than"
            f" {_PAGES_AT_ONCE} times UNDERSTUDY_BLOCK_BYTES; write it with pages of 1 MB, or smaller row groups",
        )
    return Plan(row_bytes, tuple(dictionaries), tuple(unsure), unpacked)


def rows_of(row_bytes: float, limits: Limits) -> int:
    """How many rows of so many bytes are a batch."""
    return int(min(max(limits.block_bytes / max(row_bytes, 1), 1), MOST_ROWS))


def _pages_of(file: BinaryIO, size: int, column: Mapping[int, int], rows: int) -> list[ParquetPage]:
    start = column.get(_DATA_AT, 0)
    if 0 < column.get(_DICTIONARY_AT, 0) < start:
        start = column[_DICTIONARY_AT]
    end = start + column.get(_PACKED, -1)
    if not len(MAGIC) <= start <= end <= size - _END_BYTES:
        raise NoThrift("a column that lies outside of the file")
    found = list(pages(file, start, end))
    if sum(page.values for page in found if not page.is_dictionary) != rows:
        raise NoThrift("a column with more or fewer values than the footer tells")
    return found
