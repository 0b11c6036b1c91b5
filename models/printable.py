"""Texts out of files on a terminal and on a page: shown, never obeyed."""

from __future__ import annotations

from markupsafe import Markup, escape
from rich.text import Text

from edge.terminal import written_out


def printable(text: str, style: str = "") -> Text:
    """A text for a terminal, with no markup in it."""
    return Text(written_out(text), style)


def escaped(text: str) -> Markup:
    """A text for an HTML page, with no tag in it."""
    return escape(written_out(text))
