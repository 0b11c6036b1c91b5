"""What a file may be at most. Beyond it the file is rejected, with a receipt that names the limit and its setting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models.scoring.table.faults import FileFault, Unreadable

MB = 1_000_000
SIZE_OF_ONE_ALLOWANCE = 64 * MB  # what the seconds for a file are meant for; a bigger one has more, in proportion
PACKED_COUNTS = 10  # times its size, when time is allowed for it: what a table packs to
UNPACKED_FREELY = 64 * MB  # so much may come out of any gzip file, however small it is


@dataclass(frozen=True)
class Limits:
    """How a file is read, and what it may be. Each is a setting of the worker's by the same name.

    `block_bytes` is how much is read at once; `encoding` that of files without a mark; `max_unknown` the share of a
    column's texts from which on a file is rejected, if the model was never shown them; with `spreadsheet_safe`
    copied cells that look like formulas are made harmless; `carry` names the columns that are copied beside the
    predictions (`table/carried.py`), and `output` is the form that these are written in, `csv` or `parquet`. The
    defaults let a table of 2 GB pass, and any table that a spreadsheet or a database writes.
    """

    max_file_bytes: int = 10_000 * MB
    max_rows: int = 1_000_000_000
    max_columns: int = 16_384
    max_field_bytes: int = 131_072
    max_gzip_ratio: float = 200.0
    block_bytes: int = 1 << 20
    encoding: str = "utf-8"
    max_unknown: float = 1.0
    spreadsheet_safe: bool = False
    carry: str = ""
    output: str = "csv"

    def check_size(self, size: int) -> None:
        """`size`: bytes of the object as it is stored. Raises Unreadable."""
        if size > self.max_file_bytes:
            raise Unreadable(
                FileFault.LIMIT,
                f"the file has more bytes than the {self.max_file_bytes:,} that UNDERSTUDY_MAX_FILE_BYTES allows",
            )

    def check_unpacked(self, unpacked: int, packed: int) -> None:
        """Both are bytes read so far. Raises Unreadable."""
        if unpacked > UNPACKED_FREELY and unpacked > self.max_gzip_ratio * packed:
            raise Unreadable(
                FileFault.LIMIT,
                f"its first {packed:,} bytes unpack to more than {unpacked // MB:,} MB, which is more than the"
                f" {self.max_gzip_ratio:g} to 1 that UNDERSTUDY_MAX_GZIP_RATIO allows",
            )

    def check_header(self, header: Sequence[str]) -> None:
        """Raises Unreadable."""
        if len(header) > self.max_columns:
            raise Unreadable(
                FileFault.LIMIT,
                f"the header has {len(header):,} columns, more than the {self.max_columns:,} that"
                " UNDERSTUDY_MAX_COLUMNS allows",
            )
        if any(len(name.encode("utf-8", "replace")) > self.max_field_bytes for name in header):
            raise Unreadable(
                FileFault.LIMIT,
                f"a name in the header has more bytes than the {self.max_field_bytes:,} that"
                " UNDERSTUDY_MAX_FIELD_BYTES allows",
            )

    def check_rows(self, rows: int) -> None:
        """`rows`: those read so far. Raises Unreadable."""
        if rows > self.max_rows:
            raise Unreadable(
                FileFault.LIMIT, f"the file has more rows than the {self.max_rows:,} that UNDERSTUDY_MAX_ROWS allows"
            )

    def check_field(self, size: int, row: int, column: str) -> None:
        """Raises Unreadable."""
        if size > self.max_field_bytes:
            raise Unreadable(
                FileFault.LIMIT,
                f"the field in row {row:,} has {size:,} bytes, more than the {self.max_field_bytes:,} that"
                " UNDERSTUDY_MAX_FIELD_BYTES allows; a quote that was meant as a letter swallows rows like this",
                column,
            )

    def seconds_allowed(self, seconds: float, name: str, size: int | None) -> float:
        """How long a file may take for which `seconds` are set: so long up to 64 MB, beyond that in proportion.

        `size` as its message tells it; a `.gz` or `.parquet` counts tenfold. An unknown size counts as small,
        and a size beyond `max_file_bytes` as that limit: a message may claim anything.
        """
        stored = min(size or 0, self.max_file_bytes)
        counted = stored * (PACKED_COUNTS if name.lower().endswith((".gz", ".parquet")) else 1)
        return seconds * max(1.0, counted / SIZE_OF_ONE_ALLOWANCE)


USUAL_LIMITS = Limits()
