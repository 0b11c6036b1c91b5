"""What a cell means: text, number, true or false, or a gap. Training, registration, serving and labels all ask here.

Cells come as Arrow string arrays, as they stand in a file. The parser gives a column as its distinct cells and which of
them each row has, at about the cost of its texts one by one: so what a cell means is asked once for each distinct one.
Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from models.scoring.table.faults import Fault, RowFault
from models.scoring.table.gaps import BLANKS, GAPS, trimmed

UNREADABLE = "\x1a"  # in a cell: a byte that is not UTF-8; ASCII's own sign for a character that cannot be represented
NUL = "\0"
MAX_WHOLE = 2**53 - 1  # beyond it a double has not every whole number

_DECIMAL_COMMA = r"^[+-]?[0-9]*,[0-9]+([eE][+-]?[0-9]+)?$"

CODED = pa.dictionary(pa.int32(), pa.string())

Codes = npt.NDArray[np.int32]
Mask = np.ndarray[Any, np.dtype[np.bool_]]
Texts = np.ndarray[Any, Any]  # [n] str objects, "" for a gap
Numbers = np.ndarray[Any, Any]  # [n] float64, NaN for a gap
Bad = dict[int, Fault]  # index of a cell that means nothing → why


@dataclass(frozen=True)
class Coded:
    """N cells: `distinct` [D] str objects or float64, and `codes` [N], which of them each cell is.

    The same cell may stand under two codes, and a code may be no cell's.
    """

    distinct: npt.NDArray[Any]
    codes: Codes

    @classmethod
    def of(cls, cells: npt.NDArray[Any] | Coded) -> Coded:
        """The cells of an array [N], coded; those that are coded already, as they are."""
        if isinstance(cells, Coded):
            return cells
        if cells.dtype != object:
            numbers, places = np.unique(cells, return_inverse=True)
            return cls(numbers, places.astype(np.int32))
        known: dict[Any, int] = {}
        codes = np.fromiter((known.setdefault(cell, len(known)) for cell in cells), np.int32, len(cells))
        return cls(np.array([*known, None], dtype=object)[:-1], codes)

    def __len__(self) -> int:
        return len(self.codes)

    @cached_property
    def cells(self) -> npt.NDArray[Any]:
        """[N]"""
        return self.distinct[self.codes]

    def spread(self, places: npt.NDArray[Any], count: int) -> Coded:
        """The cells at their `places` among `count`, and gaps at the others."""
        gap = np.array(["" if self.distinct.dtype == object else np.nan], dtype=self.distinct.dtype)
        codes = np.full(count, len(self.distinct), dtype=np.int32)
        codes[places] = self.codes
        return Coded(np.concatenate([self.distinct, gap]), codes)


def encoded(cells: pa.Array) -> tuple[pa.Array, Codes]:
    """A string array's distinct texts [D], and the code of each cell [N]; `cells` may be of type CODED already."""
    coded = cells if pa.types.is_dictionary(cells.type) else cells.dictionary_encode()
    return coded.dictionary, coded.indices.to_numpy()


def strings(cells: pa.Array) -> pa.Array:
    """A string array or one of type CODED as a string array."""
    return cells.cast(pa.string()) if pa.types.is_dictionary(cells.type) else cells


def each(cells: pa.Array, question: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """[N] what `question` says of each cell; of those of type CODED it is asked of the distinct ones."""
    if not pa.types.is_dictionary(cells.type):
        return question(cells)
    return question(cells.dictionary).take(cells.indices)


@dataclass(frozen=True)
class Converted:
    """What a column's n cells are.

    `coded`: str objects ("" for a gap) or float64 (NaN for a gap); `gaps`: [n] True where a cell holds nothing; `bad`:
    index → why a cell means nothing; `unknown`: [n] True where the model was never shown that text, None where that is
    not known.
    """

    coded: Coded
    gaps: Mask
    bad: Bad
    unknown: Mask | None = None

    @classmethod
    def of(cls, codes: Codes, values: Texts | Numbers, gaps: Mask, bad: Bad, unknown: Mask | None = None) -> Converted:
        """From what the distinct cells are, and the code [n] of each cell."""
        of_cells = {}
        if bad:
            of_cells = {int(index): bad[int(codes[index])] for index in np.flatnonzero(np.isin(codes, list(bad)))}
        return cls(Coded(values, codes), gaps[codes], of_cells, None if unknown is None else unknown[codes])

    @property
    def values(self) -> Texts | Numbers:
        """[n]"""
        return self.coded.cells


@cache
def _gaps() -> pa.Array:
    """Made when first asked for: pyarrow looks for pandas then, which a scoring process forbids once it has begun."""
    return pa.array(sorted(GAPS))


def text_cells(cells: pa.Array, known: Collection[str] | None = None) -> Converted:
    """Cells as texts. `known`: the texts that the model was shown; one that looks like a gap is a text then."""
    distinct, codes = encoded(cells)
    found = distinct.to_pylist()
    # A loop: a column has few distinct texts as a rule, and where it has many Arrow takes as long for all the steps.
    words = [trimmed(cell) for cell in found]
    shown = None if known is None else _are_in(frozenset(known), words)
    gaps = _are_in(GAPS, words) if shown is None else _are_in(GAPS, words) & ~shown
    texts = np.array([*words, None], dtype=object)[:-1]
    texts[gaps] = ""
    bad = {code: reason for code, cell in enumerate(found) if (reason := unfit(cell))}
    unknown = None
    if shown is not None:
        unknown = ~(shown | gaps)
        unknown[list(bad)] = False
    return Converted.of(codes, texts, gaps, bad, unknown)


def _are_in(texts: frozenset[str], words: Sequence[str]) -> Mask:
    return np.fromiter((word in texts for word in words), np.bool_, len(words))


def copied(cells: pa.Array) -> pa.Array:
    """Cells as they stand, to be copied; bytes that are not UTF-8 become �."""
    return pc.replace_substring(strings(cells), UNREADABLE, "�")


def number_cells(cells: pa.Array, *, decimal_comma: bool = False) -> tuple[Numbers, Bad]:
    """Cells as doubles. The usual column is all numbers, or numbers and gaps: one or two calls; else cell by cell."""
    try:
        return _at_once(cells, decimal_comma)
    except pa.ArrowInvalid:
        return _one_by_one(cells, decimal_comma)


def number_columns(columns: Sequence[pa.Array], *, decimal_comma: bool = False) -> list[tuple[Numbers, Bad]]:
    """The same of several columns, in as few calls as of one where all their cells are numbers or gaps."""
    try:
        whole, bad = _at_once(pa.concat_arrays(columns), decimal_comma)
    except pa.ArrowInvalid:
        return [number_cells(cells, decimal_comma=decimal_comma) for cells in columns]
    found, stop = [], 0
    for cells in columns:
        start, stop = stop, stop + len(cells)
        here = {at - start: fault for at, fault in bad.items() if start <= at < stop}
        found.append((whole[start:stop], here))
    return found


def flag_cells(cells: pa.Array, *, strict: bool, decimal_comma: bool = False) -> tuple[Numbers, Bad]:
    """Cells that say true or false, in any case, or 1 or 0, as 1.0 and 0.0.

    `strict`: no other number is taken; else it stays the number that it is.
    """
    words = pc.utf8_lower(pc.utf8_trim(cells, BLANKS))
    as_digits = pc.if_else(pc.equal(words, "true"), "1", pc.if_else(pc.equal(words, "false"), "0", cells))
    numbers, bad = number_cells(as_digits, decimal_comma=decimal_comma)
    if strict:
        neither = np.flatnonzero(~np.isnan(numbers) & (numbers != 0) & (numbers != 1))
        bad |= {int(at): _wrong("is neither true nor false", cells[int(at)].as_py()) for at in neither}
    return numbers, bad


def not_whole(numbers: Numbers, passed_over: Collection[int] = ()) -> Bad:
    """What is wrong with numbers that are to be whole, without gaps; `passed_over`: cells that are bad already."""
    with np.errstate(invalid="ignore"):
        broken, large = ~(np.mod(numbers, 1) == 0), np.abs(numbers) > MAX_WHOLE
    return {
        int(at): Fault(
            RowFault.CELL,
            "is too large for a whole number" if large[at] else "is not a whole number; this model takes no gap here",
        )
        for at in np.flatnonzero(broken | large)
        if int(at) not in passed_over
    }


def _at_once(cells: pa.Array, decimal_comma: bool) -> tuple[Numbers, Bad]:
    """Raises ArrowInvalid where a cell is neither a number nor a gap."""
    try:
        numbers = pc.cast(cells, pa.float64())
    except pa.ArrowInvalid:
        plain = _plain(cells, decimal_comma)
        numbers = pc.cast(pc.if_else(pc.is_in(plain, _gaps()), pa.scalar(None, pa.string()), plain), pa.float64())
    array = np.array(numbers.to_numpy(zero_copy_only=False), dtype=np.float64)
    # Arrow knows more ways to write "no number" than we do; what a cell means must not depend on its column's others.
    odd = np.flatnonzero(~np.isfinite(array) & numbers.is_valid().to_numpy(zero_copy_only=False))
    if not len(odd):
        return array, {}
    array[odd], bad = _one_by_one(cells.take(pa.array(odd)), decimal_comma)
    return array, {int(odd[at]): fault for at, fault in bad.items()}


def _plain(cells: pa.Array, decimal_comma: bool) -> pa.Array:
    plain = pc.utf8_trim(cells, BLANKS)
    if not decimal_comma:
        return plain
    return pc.if_else(pc.match_substring_regex(plain, _DECIMAL_COMMA), pc.replace_substring(plain, ",", "."), plain)


def _one_by_one(cells: pa.Array, decimal_comma: bool) -> tuple[Numbers, Bad]:
    array, bad = np.full(len(cells), np.nan), {}
    for index, (text, cell) in enumerate(zip(_plain(cells, decimal_comma).to_pylist(), cells.to_pylist(), strict=True)):
        if text in GAPS:
            continue
        try:
            number = float(text) if text.isascii() and "_" not in text else np.inf
        except ValueError:
            number = np.inf
        if np.isinf(number):
            bad[index] = unfit(cell) or _wrong("is not a number", cell)
        else:
            array[index] = number  # NaN, however it is capitalised, is a gap
    return array, bad


def unfit_cells(cells: pa.Array) -> pa.Array:
    """[n] True where `unfit` has something to say."""
    return each(cells, lambda texts: pc.or_(pc.match_substring(texts, UNREADABLE), pc.match_substring(texts, NUL)))


def unfit(cell: str) -> Fault | None:
    """Why a cell is no text at all; None where it is one."""
    if UNREADABLE in cell:
        return Fault(RowFault.ENCODING, "is not UTF-8 text")
    return Fault(RowFault.NUL, "holds a NUL, which is no text") if NUL in cell else None


def _wrong(what: str, cell: str) -> Fault:
    shown = cell.replace(UNREADABLE, "�")
    return Fault(RowFault.CELL, f"{what}: {shown[:40]!r}{'…' if len(shown) > 40 else ''}")
