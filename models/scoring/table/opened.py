"""A file as a table of cells, whatever its format: CSV, or Parquet where its name says so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, BinaryIO, Protocol

from models.scoring.table.limits import USUAL_LIMITS, Limits
from models.scoring.table.read import Batch, Table

if TYPE_CHECKING:
    import pyarrow as pa

PARQUET_ENDING = ".parquet"


class OpenTable(Protocol):
    """`columns`: wanted column → its place in the file; `carried`: the same, None for those that cannot be carried."""

    @property
    def columns(self) -> Mapping[str, int]: ...

    @property
    def carried(self) -> Mapping[str, int | None]: ...

    @property
    def decimal_comma(self) -> bool: ...

    def carried_type(self, name: str) -> pa.DataType: ...

    def batches(self) -> Iterator[Batch]: ...


def open_table(
    stream: BinaryIO,
    name: str,
    required: Sequence[str] | None,
    optional: Sequence[str] = (),
    limits: Limits = USUAL_LIMITS,
    *,
    encoding: str = "utf-8",
    all_columns: bool = False,
) -> OpenTable:
    """The file of that name as a table (`Table` says what the others are). Raises Unreadable, here and while read."""
    if name.lower().endswith(PARQUET_ENDING):
        from models.scoring.table.parquet.read import ParquetTable  # imported where there is one: 20 ms, 7 MB

        return ParquetTable(stream, required, optional, limits)
    return Table(stream, required, optional, limits, encoding=encoding, all_columns=all_columns)
