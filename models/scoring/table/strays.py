"""Rows that were split into cells and are no rows of the table: the header again, and what two stray quotes swallow."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.scoring.table.coded import each, encoded, strings
from models.scoring.table.dialect import Dialect
from models.scoring.table.faults import Fault, FileFault, RowFault, Unreadable
from models.scoring.table.gaps import BLANKS, trimmed

_LINE_END = re.compile(r"\r\n|\r|\n")


class Strays:
    """Looks for such rows in the columns at `places` of a table, those that are wanted first."""

    def __init__(self, dialect: Dialect, places: Sequence[int]) -> None:
        self._dialect, self._places = dialect, places
        self._wanted = [_folded(dialect.header[place]) for place in places[: len(dialect.columns)]]
        names = [name for name in dict.fromkeys(dialect.header) if trimmed(name)]  # an index column often has none
        self._names = pa.array((trimmed(name).lower() for name in names), pa.string())
        self._header = {_folded(name) for name in names}

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
            row = [_folded(cells[index].as_py()) for cells in columns[: len(self._wanted)]]
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
            lines = _LINE_END.split(cells[index].as_py())
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


def _folded(name: str) -> str:
    return trimmed(name).casefold()
