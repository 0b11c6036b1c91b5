"""A picture of the report with its numbers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from edge.html.template import template

DOCUMENT = Path(__file__).with_name("picture.svg")


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


def document(picture: Picture) -> str:
    """The drawing as an SVG document of its own, with its style."""
    head, _, rest = picture.svg.partition(">")
    return template(DOCUMENT).render(head=head.removeprefix("<svg "), rest=rest)
