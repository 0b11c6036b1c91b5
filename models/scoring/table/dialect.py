"""How a CSV is written, read off its first lines: encoding, separator, header, and where its rows begin. Pure."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from models.scoring.table.cells import NUL, UNREADABLE
from models.scoring.table.faults import FileFault, Unreadable
from models.scoring.table.gaps import trimmed

SEPARATORS = (",", ";", "\t", "|")  # the first that fits
MAX_HEADER_BYTES = 1 << 20
_LOOKED_AT_ROWS = 100
_SEP_LINE = re.compile(r'"?sep=(.)"?[^\S\n\r]*(\r\n|\n|\r|$)', re.IGNORECASE)
_BLANK_LINES = re.compile(r"([^\S\r\n]*(\r\n|\r|\n))*")
LINE_END = re.compile(r"\r\n|\r|\n")
_MARKS = (  # the longer ones first
    (b"\xff\xfe\0\0", "utf-32"),
    (b"\0\0\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
    (b"\xef\xbb\xbf", "utf-8-sig"),
)


@dataclass(frozen=True)
class Dialect:
    """`header`: the names as they are spelled; `columns`: wanted column → its place in the header; `size`: bytes up to
    the first row; `spare`: how many empty fields each row has behind those of the header (0 or 1)."""

    separator: str
    header: tuple[str, ...]
    columns: Mapping[str, int]
    size: int
    spare: int = 0

    @property
    def fields(self) -> int:
        """How many a row has."""
        return len(self.header) + self.spare

    @property
    def decimal_comma(self) -> bool:
        """True where a comma in a number can be nothing else."""
        return self.separator == ";"


def encoding_of(start: bytes, otherwise: str) -> str:
    """The encoding that a mark at the beginning of a file names."""
    return next((encoding for mark, encoding in _MARKS if start.startswith(mark)), otherwise)


def read_dialect(start: bytes, required: Sequence[str] | None, optional: Sequence[str] = ()) -> Dialect:
    """The dialect of a file that begins with these bytes, in valid UTF-8 (all of it, or MAX_HEADER_BYTES).

    The separator is the first of SEPARATORS by which the header has all `required` columns. Raises Unreadable where
    there is none, or a wanted column stands twice. `required` None: all columns are wanted, under names of their own,
    and the separator is the one that finds most columns.
    """
    # A character may be cut in two at the end of what is looked at.
    text = start.decode("utf-8", errors="ignore")
    told = _SEP_LINE.match(text)
    behind = told.end() if told else 0
    blank = _BLANK_LINES.match(text, behind)
    at = blank.end() if blank else behind
    if not trimmed(text[at:]):
        raise Unreadable(FileFault.EMPTY, "the file is empty")
    missing: Lacking | None = None
    separators = (told[1],) if told else SEPARATORS
    if required is None:
        separators = (max(separators, key=lambda separator: len(_first_record(text, at, separator)[0])),)
    for separator in separators:
        header, size = _first_record(text, at, separator)
        try:
            columns = each_name(header) if required is None else choose_columns(header, required, optional)
        except Lacking as lacking:
            if missing is None or lacking.found > missing.found:
                missing = lacking
            continue
        whole = text if len(start) < MAX_HEADER_BYTES else text[: text.rfind("\n") + 1]
        spare = _spare(whole[size:], separator, len(header))
        return Dialect(separator, tuple(header), columns, len(text[:size].encode()), spare)
    raise missing or Unreadable(FileFault.EMPTY, "the file is empty")


class Lacking(Unreadable):
    """The header has `found` of the required columns, not all."""

    def __init__(self, reason: str, column: str, found: int) -> None:
        super().__init__(FileFault.HEADER, reason, column)
        self.found = found


def choose_columns(header: Sequence[str], required: Sequence[str], optional: Sequence[str]) -> dict[str, int]:
    """Wanted column → its place in the header.

    A name is found as it is spelled, else without the blanks at its ends, else in any case, if only one can be meant.
    Raises Unreadable where a wanted column stands twice, Lacking where a required one is missing.
    """
    found: dict[str, int] = {}
    taken: set[int] = set()
    wanted = dict.fromkeys((*required, *optional))
    for key in (str, trimmed, folded):
        keys = Counter(key(name) for name in wanted)
        places: dict[str, list[int]] = {}
        for place, raw in enumerate(header):
            places.setdefault(key(raw), []).append(place)
        for name in wanted:
            if name in found or keys[key(name)] > 1:
                continue
            here = [place for place in places.get(key(name), ()) if place not in taken]
            if len(here) > 1:
                raise _twice(name, [header[place] for place in here])
            if here:
                found[name] = here[0]
                taken.add(here[0])
    spelled: dict[str, list[str]] = {}
    for place, raw in enumerate(header):
        if place not in taken:
            spelled.setdefault(trimmed(raw), []).append(raw)
    for name, place in found.items():
        if again := spelled.get(trimmed(name)):
            raise _twice(name, [header[place], *again])
    missing = [name for name in required if name not in found]
    if missing:
        there = sum(name in found for name in required)
        hint = "" if found else "; is its first line a header?"
        raise Lacking(f"the header lacks {_some(missing)} (it has {_some(header)}){hint}", missing[0], there)
    return found


def _twice(name: str, spelled: Sequence[str]) -> Unreadable:
    shown = " and ".join(repr(raw[:60]) for raw in spelled[:2])
    return Unreadable(FileFault.HEADER, f"the header has the column {name!r} twice: {shown}", name)


def each_name(header: Sequence[str]) -> dict[str, int]:
    """Every column under a name of its own: a nameless one by its place, one that stands twice with a number."""
    places: dict[str, int] = {}
    for place, raw in enumerate(header):
        name = wanted = trimmed(raw) or f"Unnamed: {place}"
        number = 1
        while name in places:
            name, number = f"{wanted}.{number}", number + 1
        places[name] = place
    return places


def _first_record(text: str, at: int, separator: str) -> tuple[list[str], int]:
    """The record that begins at `at`, and where the next one begins. Raises Unreadable."""
    lines = _Lines(text, at)
    try:
        header = next(csv.reader(lines, delimiter=separator), [])
    except csv.Error as error:
        raise Unreadable(FileFault.HEADER, f"the header cannot be read as CSV: {error}") from None
    unreadable = any(UNREADABLE in name for name in header)
    if any(NUL in name for name in header) or (unreadable and NUL in text):
        raise Unreadable(FileFault.FORMAT, "the file is no text: it has zero bytes")
    if unreadable:
        raise Unreadable(
            FileFault.ENCODING,
            "the header is not UTF-8 text: save the file as UTF-8, or name its encoding (UNDERSTUDY_ENCODING)",
        )
    if lines.at >= len(text) and len(text.encode()) >= MAX_HEADER_BYTES:
        raise Unreadable(FileFault.HEADER, f"the header never ends, or is longer than {MAX_HEADER_BYTES:,} bytes")
    return header, lines.at


def _spare(text: str, separator: str, fields: int) -> int:
    """1 where each of the first rows has one empty field more than the header, else 0."""
    rows = csv.reader(_Lines(text, 0), delimiter=separator)
    seen = 0
    try:
        for row in rows:
            if row:
                if len(row) != fields + 1 or trimmed(row[-1]):
                    return 0
                seen += 1
            if seen == _LOOKED_AT_ROWS:
                break
    except csv.Error:
        return 0
    return 1 if seen else 0


class _Lines(Iterator[str]):
    """The lines of a text from a place on, with their ends; `at`: where the next one begins."""

    def __init__(self, text: str, at: int) -> None:
        self.at = at
        self._text = text

    def __next__(self) -> str:
        if self.at >= len(self._text):
            raise StopIteration
        began = self.at
        end = LINE_END.search(self._text, began)
        self.at = end.end() if end else len(self._text)
        return self._text[began : self.at]


def folded(name: str) -> str:
    """A name as it is compared where case does not count."""
    return trimmed(name).casefold()


def _some(names: Sequence[str], most: int = 8) -> str:
    listed = ", ".join(repr(name[:60]) for name in names[:most])
    return listed if len(names) <= most else f"{listed} and {len(names) - most} more"
