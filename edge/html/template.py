"""Templates of pages: every text is escaped, and what cannot be printed is written out."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from edge.terminal import written_out

SHARED = Path(__file__).parent


@cache
def template(path: Path) -> Template:
    """The template in a file; it may include others of its folder, and the styles beside this module.

    A name that it was not given is an error.
    """
    environment = Environment(
        loader=FileSystemLoader([path.parent, SHARED]),
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
