"""What does not count: blanks at a cell's ends, and cells that hold nothing. Pure, and imports nothing."""

from __future__ import annotations

# What str.strip takes off, and what has no width: spaces, joiners, the byte-order mark.
BLANKS = (
    "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000\u180e\u200b\u200c\u200d\u2060\ufeff"
)
# Those of `pandas.read_csv` by default, and "na".
GAPS = frozenset((
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
    "NULL", "NaN", "None", "n/a", "na", "nan", "null",
))  # fmt: skip


def trimmed(text: str) -> str:
    """A cell, a header's name or a label without the blanks at its ends."""
    return text.strip(BLANKS)


def is_gap(text: str) -> bool:
    """True for a cell that holds nothing, blanks or not."""
    return trimmed(text) in GAPS
