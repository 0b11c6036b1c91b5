"""By what two rows are known to be the same: their id, however a program wrote it."""

from __future__ import annotations

import re

from models.table.gaps import trimmed

# An apostrophe that a worker puts before what a spreadsheet would run (SPREADSHEET_SAFE); an id comes without it, or,
# copied from an output, with it.
_MADE_HARMLESS = re.compile("(^|[;\t\r\n])'(?=[\t\r=+\\-@＝＋－＠])")


def identity(given: str | None) -> str:
    """The id to compare by; "" where there is none."""
    return trimmed(_MADE_HARMLESS.sub(r"\1", given)) if given else ""
