"""By what two rows are known to be the same: their id, however a program wrote it, and a hash of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt

from models.scoring.table.gaps import BLANKS, GAPS, is_gap, trimmed

# An apostrophe that a worker puts before what a spreadsheet would run (UNDERSTUDY_SPREADSHEET_SAFE); an id comes
# without it, or, copied from an output, with it.
_MADE_HARMLESS = re.compile("(^|[;\t\r\n])'(?=[\t\r=+\\-@＝＋－＠])")


def identity(given: str | None) -> str:
    """The id to compare by; "" where there is none."""
    return trimmed(_MADE_HARMLESS.sub(r"\1", given)) if given else ""


Hashes = npt.NDArray[np.uint64]
Ids = Sequence[str | None] | npt.NDArray[Any]  # None, or "", where a row has none

_LONGEST = 64  # characters of an id that is hashed beside others
_ODD_ENDS = np.array(sorted(map(ord, {*BLANKS, *(gap[0] for gap in GAPS if gap and gap[0] not in "1")})), np.uint32)
_APOSTROPHE, _NUMBER_SIGN = ord("'"), ord("#")  # of what was made harmless; of gaps that begin like numbers
_MIX = np.uint64(0x9E3779B97F4A7C15)


def hashes(ids: Ids) -> tuple[Hashes, npt.NDArray[np.bool_]]:
    """64 bits of each of N ids [N], and which of them are one [N]: gaps are none. Equal identities have equal bits.

    Of up to 64 characters these are mixed one after the other, all ids side by side, and finished as SplitMix64 is
    (G. Steele, D. Lea, C. Flood, Fast splittable pseudorandom number generators, OOPSLA 2014); longer ids by BLAKE2b.
    """
    texts = [each or "" for each in (ids.tolist() if isinstance(ids, np.ndarray) else ids)]
    found, known = np.zeros(len(texts), np.uint64), np.ones(len(texts), dtype=bool)
    if not texts:
        return found, known
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    codes = _codes(texts if lengths.max() <= _LONGEST else [each[:_LONGEST] for each in texts])
    last = codes[np.arange(len(codes)), np.clip(lengths, 1, _LONGEST) - 1]
    odd = (lengths == 0) | (lengths > _LONGEST) | _is_odd(codes[:, 0]) | _is_odd(last)
    odd |= ((codes == _APOSTROPHE) | (codes == _NUMBER_SIGN)).any(axis=1)
    found = _mixed(codes)
    for at in np.flatnonzero(odd).tolist():
        one = identity(texts[at])
        known[at] = not is_gap(one)
        found[at] = (_mixed(_codes([one]))[0] if len(one) <= _LONGEST else _long(one)) if known[at] else 0
    return found, known


def _is_odd(letters: npt.NDArray[np.uint32]) -> npt.NDArray[np.bool_]:
    return np.isin(letters, _ODD_ENDS, kind="table")  # by sorting, as is usual, it takes a third of the whole


def _codes(texts: Sequence[str]) -> npt.NDArray[np.uint32]:
    """[N, longest] code points, 0 behind a text's end."""
    array: npt.NDArray[Any] = np.array(texts, dtype=str)
    return array.view(np.uint32).reshape(len(texts), -1)


def _mixed(codes: npt.NDArray[np.uint32]) -> Hashes:
    mixed = np.full(len(codes), _MIX, np.uint64)
    for column in codes.T.astype(np.uint64):
        further = (mixed ^ column) * _MIX
        mixed = np.where(column != 0, further ^ (further >> np.uint64(32)), mixed)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    finished: Hashes = mixed ^ (mixed >> np.uint64(31))
    return finished


def _long(text: str) -> int:
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
