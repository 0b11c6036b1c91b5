"""Texts out of files on a terminal: shown, never obeyed."""

from __future__ import annotations

from rich.text import Text


def printable(text: str, style: str = "") -> Text:
    """The same, no markup in it, with what cannot be printed written out, like `\\x1b`."""
    return Text("".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text), style)
