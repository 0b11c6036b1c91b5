"""Templates of pages: every text is escaped, and what cannot be printed is written out."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from models.printable import written_out


@cache
def template(path: Path) -> Template:
    """The template in a file; it may include others of its folder. A name that it was not given is an error."""
    environment = Environment(
        loader=FileSystemLoader(path.parent),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_text,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["count"] = "{:,}".format
    return environment.get_template(path.name)


def _text(value: Any) -> Any:
    return written_out(value) if isinstance(value, str) and not isinstance(value, Markup) else value
