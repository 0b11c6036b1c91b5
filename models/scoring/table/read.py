"""Reads a CSV in batches of raw cells. Rows that are no rows of this table keep their place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from models.scoring.table.carried import carried_places
from models.scoring.table.cells import CODED, each, encoded, strings
from models.scoring.table.dialect import LINE_END, MAX_HEADER_BYTES, Dialect, folded, read_dialect
from models.scoring.table.faults import Fault, FileFault, RowFault, Unreadable
from models.scoring.table.gaps import BLANKS, trimmed
from models.scoring.table.limits import USUAL_LIMITS, Limits
from models.scoring.table.stream import GZIP_DAMAGE, Blocks, damaged, text_of

MOST_AT_FIRST = 100_000  # rows with a wrong number of fields at the beginning of a file, beyond which it is no table
MOST_WITHOUT_A_ROW = 1_000  # bytes behind a header that may hold no row


class ReadAgain(Exception):
    """A quote stands far behind the beginning of the file: it must be read with `all_columns`."""


@dataclass(frozen=True)
class Batch:
    """Consecutive rows of the file, the first of which is number `first_row` (from 1, without the header).

    `rows`: how many there are; `positions`: [n] which of them (from 0) could be split into cells; `cells`: column →
    string array [n] (of type CODED for those that are required), with UNREADABLE for each byte that is not UTF-8;
    `faults`: position → what is wrong with a row that is none of this table's, whether it could be split or not;
    `carried`: column → array [n], for those of the carried ones that the file has.
    """

    first_row: int
    rows: int
    positions: np.ndarray[Any, Any]
    cells: dict[str, pa.Array]
    faults: dict[int, Fault]
    carried: Mapping[str, pa.Array] = field(default_factory=dict)


class Table:
    """An open CSV: which of the wanted columns it has, and its batches. Raises Unreadable, here and while read.

    `required`: None for every column there is.
    `encoding`: where the file has no mark that names it. `all_columns`: looks for stray quotes in columns that are not
    wanted too; without it `batches` raises ReadAgain where there may be any.
    """

    def __init__(
        self,
        stream: BinaryIO,
        required: Sequence[str] | None,
        optional: Sequence[str] = (),
        limits: Limits = USUAL_LIMITS,
        *,
        encoding: str = "utf-8",
        all_columns: bool = False,
    ) -> None:
        self._limits, self._block_bytes = limits, limits.block_bytes
        try:
            self._stream = text_of(stream, limits, encoding)
            start = self._stream.peek(MAX_HEADER_BYTES)
        except GZIP_DAMAGE as error:
            raise damaged(error) from None
        self._dialect = read_dialect(start, required, optional)
        limits.check_header(self._dialect.header)
        self.columns = self._dialect.columns  # wanted column → its place in the header
        self.carried = carried_places(self._dialect.header, limits.carry)
        self._carried = {name: place for name, place in self.carried.items() if place is not None}
        self._coded = {self._dialect.columns[name] for name in required or ()}
        self._all = all_columns or b'"' in start[self._dialect.size :]
        self._places = list(dict.fromkeys((*self._dialect.columns.values(), *self._carried.values())))
        if self._all:
            self._places += sorted(set(range(self._dialect.fields)) - set(self._places))
        self._stream.skip(self._dialect.size)

    def carried_type(self, name: str) -> pa.DataType:
        """Of a carried column: text."""
        return pa.string()

    @property
    def decimal_comma(self) -> bool:
        """True where a comma in a number is a decimal one."""
        return self._dialect.decimal_comma

    def batches(self) -> Iterator[Batch]:
        """All rows, in order, in batches of about `block_bytes`; memory stays within a few of them."""
        dialect = self._dialect
        malformed: dict[int, Fault] = {}
        reasons: dict[int, Fault] = {}  # one text for all rows of a length
        end = f"{uuid4().hex[:16]}{dialect.separator * dialect.fields}"  # a last row of ours, with a field too many
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
            reason = Fault(RowFault.FIELDS, f"has {row.actual_columns} fields, the header has {len(dialect.header)}")
            # Arrow counts records from 1; blank lines are no records.
            malformed[row.number - 1] = reasons.setdefault(row.actual_columns, reason)
            return "skip"

        blocks = Blocks(self._stream, f"\n{end}\n".encode())
        places = self._places
        strays = _Strays(dialect, places)
        done = 0
        try:
            reader = pacsv.open_csv(
                pa.PythonFile(blocks, mode="r"),
                read_options=pacsv.ReadOptions(
                    use_threads=False,
                    block_size=self._block_bytes,
                    column_names=[str(place) for place in range(dialect.fields)],
                ),
                parse_options=pacsv.ParseOptions(
                    delimiter=dialect.separator, newlines_in_values=True, invalid_row_handler=set_aside
                ),
                convert_options=pacsv.ConvertOptions(
                    include_columns=[str(place) for place in places],
                    column_types={str(place): CODED if place in self._coded else pa.string() for place in places},
                    strings_can_be_null=False,
                ),
            )
            for record_batch in reader:
                if blocks.quotes and not self._all:
                    raise ReadAgain
                batch = self._batch(done, record_batch.num_rows, record_batch.columns, malformed, strays)
                done += batch.rows
                if batch.rows:
                    yield batch
        except pa.ArrowInvalid as error:
            if len(malformed) >= most:
                raise Unreadable(
                    FileFault.HEADER, f"the first {most:,} rows have more or fewer fields than the header"
                ) from None
            raise _why_unreadable(error, done, self._block_bytes) from None
        except GZIP_DAMAGE as error:
            raise damaged(error, f" after row {done}") from None
        if malformed:
            last = self._batch(done, 0, [pa.array([], pa.string()) for _ in places], malformed, strays)
            done += last.rows
            yield last
        if not ended:
            # Arrow then takes the rest of the file for one field: rows would be missing silently.
            raise Unreadable(FileFault.QUOTES, f"a quote is opened and never closed, in row {done} or before")
        if not done and blocks.count > MOST_WITHOUT_A_ROW:
            raise Unreadable(FileFault.NO_ROW, f"{blocks.count:,} bytes stand behind the header, and no row in them")

    def _batch(
        self, done: int, parsed: int, columns: Sequence[pa.Array], malformed: dict[int, Fault], strays: _Strays
    ) -> Batch:
        """Puts the malformed rows that lie before the last parsed one, or right behind it, back in their places."""
        here: dict[int, Fault] = {}
        rows = parsed
        for number in sorted(malformed):
            if number > done + rows:
                break  # a row that is not parsed yet lies between
            here[number - done] = malformed.pop(number)
            rows += 1
        places = np.delete(np.arange(rows), list(here)) if here else np.arange(rows)
        self._limits.check_rows(done + rows)
        cells = dict(zip(self._dialect.columns, columns, strict=False))
        carried = {name: columns[self._places.index(place)] for name, place in self._carried.items()}
        self._check_fields(cells | carried, lambda index: done + 1 + int(places[index]))
        found = strays.found(columns, lambda index: done + 1 + int(places[index]), quotes=self._all)
        here |= {int(places[index]): fault for index, fault in found.items()}
        return Batch(done + 1, rows, places, cells, here, carried)

    def _check_fields(self, columns: dict[str, pa.Array], row: Callable[[int], int]) -> None:
        """Raises Unreadable where a field is too long; `row`: the number of a row by its index."""
        distinct = {name: encoded(cells)[0] if cells.type == CODED else cells for name, cells in columns.items()}
        if not distinct or _longest(pa.chunked_array(list(distinct.values()))) <= self._limits.max_field_bytes:
            return
        for name, texts in distinct.items():
            longest = _longest(texts)
            if longest > self._limits.max_field_bytes:
                index = pc.index(pc.binary_length(texts), longest).as_py()
                if columns[name].type == CODED:
                    index = np.flatnonzero(encoded(columns[name])[1] == index)[0]
                self._limits.check_field(longest, row(int(index)), name)


def _longest(texts: Any) -> int:
    return pc.max(pc.binary_length(texts)).as_py() or 0


def _why_unreadable(error: Exception, done: int, block_bytes: int) -> Unreadable:
    text = str(error)
    if "straddling" in text:
        return Unreadable(
            FileFault.QUOTES,
            f"behind row {done} a field in quotes never ends, or a row is longer than {block_bytes:,} bytes"
            " (UNDERSTUDY_BLOCK_BYTES)",
        )
    return Unreadable(FileFault.CSV, f"behind row {done}: {text.splitlines()[0][:200]}")


class _Strays:
    """Looks for rows that were split into cells and are no rows of the table: the header again, and what two stray
    quotes swallow. `places`: the columns to look in, those that are wanted first.
    """

    def __init__(self, dialect: Dialect, places: Sequence[int]) -> None:
        self._dialect, self._places = dialect, places
        self._wanted = [folded(dialect.header[place]) for place in places[: len(dialect.columns)]]
        names = [name for name in dict.fromkeys(dialect.header) if trimmed(name)]  # an index column often has none
        self._names = pa.array((trimmed(name).lower() for name in names), pa.string())
        self._header = {folded(name) for name in names}

    def found(
        self, columns: Sequence[pa.Array], number: Callable[[int], int], *, quotes: bool = True
    ) -> dict[int, Fault]:
        """Index into these cells [n] of each column → what is wrong.

        `number`: the row of an index, as people count; `quotes`: False where none was read so far. Raises Unreadable
        where a row is the header in another order: what follows it are other columns.
        """
        found: dict[int, Fault] = {}
        for place, cells in zip(self._places, columns, strict=True):
            if place >= len(self._dialect.header):
                found |= self._beyond_the_header(cells)
            if quotes:
                found |= self._swallowed(cells, place)
        for index in self._like_a_header(columns[0]):
            row = [folded(cells[index].as_py()) for cells in columns[: len(self._wanted)]]
            if row == self._wanted:
                found[index] = Fault(RowFault.HEADER, "is the header again")
            elif 2 * sum(cell in self._header for cell in row) > len(row):
                raise Unreadable(
                    FileFault.ORDER,
                    f"row {number(index):,} is a header again, with its columns in another order: what is below it"
                    " belongs into a file of its own",
                )
        return found

    def _like_a_header(self, cells: pa.Array) -> Iterator[int]:
        """Where a cell is a name of the header, in any case. Each different cell is looked at once."""
        distinct, codes = encoded(cells)
        named = pc.is_in(pc.utf8_lower(pc.utf8_trim(distinct, BLANKS)), self._names)
        if pc.any(named).as_py():
            yield from map(int, np.flatnonzero(named.to_numpy(zero_copy_only=False)[codes]))

    def _beyond_the_header(self, cells: pa.Array) -> dict[int, Fault]:
        fault = Fault(RowFault.FIELDS, f"has {self._dialect.fields} fields, the header has {len(self._dialect.header)}")
        return dict.fromkeys(
            (at for at in _where(pc.not_equal(strings(cells), "")) if trimmed(cells[at].as_py())), fault
        )

    def _swallowed(self, cells: pa.Array, place: int) -> dict[int, Fault]:
        separator, between = self._dialect.separator, self._dialect.fields - 1
        found = {}
        for index in _where(each(cells, lambda texts: pc.match_substring_regex(texts, "[\r\n]"))):
            lines = LINE_END.split(cells[index].as_py())
            held = sum(line.count(separator) for line in lines)
            # Of a narrow table's cells, many hold a text of some lines and commas; rows have just so many in each line.
            is_rows = held == between * (len(lines) - 1) if between <= 2 else 2 * held > between
            if held and is_rows:
                name = self._dialect.header[place] if place < len(self._dialect.header) else ""
                message = (
                    f"a field in quotes spans {len(lines)} lines and holds {held:,} separators: two stray quotes have"
                    " swallowed the rows between them"
                )
                found[index] = Fault(RowFault.QUOTES, message, name)
        return found


def _where(mask: pa.Array) -> Iterator[int]:
    return (int(index) for index in np.flatnonzero(mask.to_numpy(zero_copy_only=False)))
