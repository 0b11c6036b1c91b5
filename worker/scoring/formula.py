"""Copied cells that a spreadsheet would run as a formula, made harmless with an apostrophe. Pure.

A spreadsheet takes a cell for a formula that begins with one of a few letters, and that is nothing but a number does no
harm. Where it separates fields by semicolons, or the text is pasted, a cell begins within ours as well.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

_BEGINS = r"(^|[;\t\r\n])([=+\-@＝＋－＠])"
_BEGINS_WITH_BLANK = r"^([\t\r])"
_NUMBER = r"^[+-]?[0-9][0-9.,]*([eE][+-]?[0-9]+)?$"


def harmless(cells: pa.Array) -> pa.Array:
    """The cells, with `'` before each beginning of a formula; numbers and all other text as they are."""
    marked = pc.replace_substring_regex(cells, _BEGINS, r"\1'\2")
    marked = pc.replace_substring_regex(marked, _BEGINS_WITH_BLANK, r"'\1")
    return pc.if_else(pc.match_substring_regex(cells, _NUMBER), cells, marked)
