"""A picture of the report with its numbers."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup


@dataclass(frozen=True)
class PictureTable:
    """Numbers of a picture: a heading per column, and rows of text whose first cell names the row."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Picture:
    """A drawing with what it says; `keys` names the styles drawn."""

    id: str
    title: str
    says: str
    svg: Markup
    table: PictureTable
    keys: tuple[tuple[str, str], ...] = (("production", "production"), ("staging", "staging"))
