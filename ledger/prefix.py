"""What a prefix may be. Every program asks here, so that all of them accept the same prefixes."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from ledger.names import LABELS, OUTPUT
from transport.event import why_bad_name


def good_prefix(prefix: str) -> str:
    """The prefix. Raises ValueError where it can hold no inputs, or misleads its reader."""
    parts = prefix.split("/")
    if prefix.startswith((OUTPUT, LABELS, "/", ".understudy")) or any(part in (".", "..") for part in parts):
        raise ValueError(f"{prefix!r} can hold no inputs: use a plain path that is not below {OUTPUT} or {LABELS}")
    if "" in parts[:-1]:
        raise ValueError(f"{prefix!r} has two slashes in a row")
    if prefix and "/" not in prefix:
        raise ValueError(f"{prefix!r} is no folder; is {prefix + '/'!r} meant?")
    if why := why_bad_name(f"{prefix}x.csv"):
        raise ValueError(f"{prefix!r} can be no input's beginning: a name with it {why}")
    return prefix


Prefix = Annotated[
    str,
    AfterValidator(good_prefix),
    Field(
        description="inputs are the .csv, .csv.gz, .parquet right below it, like incoming/; empty: the bucket's root"
    ),
]
