"""Text from anybody (names of files, reasons that quote them) on a terminal: shown, never obeyed."""

from __future__ import annotations

import re

_ORDERS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")


def harmless(text: str) -> str:
    """The same with what a terminal would obey written out, like `\\x1b`; line feeds and tabs stay."""
    return _ORDERS.sub(lambda found: repr(found[0])[1:-1], text)
