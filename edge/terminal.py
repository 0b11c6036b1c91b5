"""Text from outside (names of files, reasons that quote them), made harmless for a terminal."""

from __future__ import annotations

import re

_MAYBE_ORDERS = re.compile(r"[^\x20-\x7e\n\t]")  # most texts have none


def harmless(text: str) -> str:
    """The text with what a terminal would obey or would not show written out, like `\\x1b`; line feeds and tabs stay.

    Marks for writing from right to left are written out too: with them a name would be read backwards.
    """
    return _MAYBE_ORDERS.sub(lambda found: found[0] if found[0].isprintable() else repr(found[0])[1:-1], text)
