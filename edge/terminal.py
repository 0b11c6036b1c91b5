"""Text from anybody (names of files, reasons that quote them) on a terminal: shown, never obeyed."""

from __future__ import annotations

import re

_MAYBE_ORDERS = re.compile(r"[^\x20-\x7e\n\t]")  # most texts have none


def harmless(text: str) -> str:
    """The same with what a terminal would obey, or would not show, written out, like `\\x1b`; line feeds and tabs stay.

    Orders to write from right to left are among them: a name would be read backwards.
    """
    return _MAYBE_ORDERS.sub(lambda found: found[0] if found[0].isprintable() else repr(found[0])[1:-1], text)
