"""What a prefix may be: every program that has one asks here, so that none takes what another refuses."""

from __future__ import annotations

from ledger.names import LABELS, OUTPUT
from transport.event import why_bad_name


def refuse_bad_prefix(prefix: str) -> None:
    """Raises ValueError where a prefix can hold no inputs, or is not what it seems to be."""
    parts = prefix.split("/")
    if prefix.startswith((OUTPUT, LABELS, "/", ".understudy")) or any(part in (".", "..") for part in parts):
        raise ValueError(f"{prefix!r} can hold no inputs: use a plain path that is not below {OUTPUT} or {LABELS}")
    if "" in parts[:-1]:
        raise ValueError(f"{prefix!r} has two slashes in a row")
    if prefix and "/" not in prefix:
        raise ValueError(f"{prefix!r} is no folder; is {prefix + '/'!r} meant?")
    if why := why_bad_name(f"{prefix}x.csv"):
        raise ValueError(f"{prefix!r} can be no input's beginning: a name with it {why}")
