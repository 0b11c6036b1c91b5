"""What can be wrong with a row, or with a file as a whole: a word to count it by, and a text for the person."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class RowFault(StrEnum):
    """Why a row has no answer; the word stands in receipts and metrics."""

    FIELDS = "fields"  # more or fewer than the header
    HEADER = "header-again"
    QUOTES = "quotes"  # two stray ones have swallowed rows
    ENCODING = "encoding"
    NUL = "nul"
    EMPTY = "empty"  # a gap in every column that the model takes
    CELL = "cell"  # not what the column holds
    MODEL = "model"  # it gives no answer for this row


class FileFault(StrEnum):
    """Why a file has no answers; the word stands in receipts and metrics."""

    EMPTY = "empty"
    FORMAT = "format"  # an archive, a spreadsheet, a page: no CSV
    DAMAGED = "damaged"  # gzip data
    ENCODING = "encoding"
    HEADER = "header"
    QUOTES = "quotes"
    ORDER = "another-order"  # two tables in one
    NO_ROW = "no-row"
    UNKNOWN = "unknown-texts"
    LIMIT = "limit"
    CSV = "csv"  # the parser cannot go on


class Fault(NamedTuple):
    """What is wrong with one row or cell: `column` where one is meant."""

    kind: RowFault
    message: str
    column: str | None = None


class Unreadable(Exception):
    """The file as a whole can't be scored, and its content is at fault; `column` where one is meant."""

    def __init__(self, kind: FileFault, reason: str, column: str | None = None) -> None:
        super().__init__(reason)
        self.kind = kind
        self.column = column
