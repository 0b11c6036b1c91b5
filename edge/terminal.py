"""Text from outside (names of files, reasons that quote them), made harmless for a terminal."""

from __future__ import annotations

import re

_MAYBE_ORDERS = re.compile(r"[^\x20-\x7e\n\t]")  # most texts have none


def harmless(text: str) -> str:
    """The text with what a terminal would obey or would not show written out, like `\\x1b`; line feeds and tabs stay.

    Marks for writing from right to left are written out too: with them a name would be read backwards.
    """
    return _MAYBE_ORDERS.sub(lambda found: found[0] if found[0].isprintable() else repr(found[0])[1:-1], text)


def written_out(text: str) -> str:
    """The same with line feeds and tabs written out too: for a text that has one line, on a terminal or on a page."""
    return text if text.isprintable() else "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)
