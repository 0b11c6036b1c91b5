"""Columns of a file that are carried beside its predictions: which are meant, and where they stand. Pure."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence

from models.scoring.table.dialect import each_name, folded
from models.scoring.table.gaps import trimmed

ALL = "all"


def carried_names(carry: str) -> list[str]:
    """The names in a setting, each once; a name that holds a comma stands in quotes. Raises ValueError."""
    try:
        [names] = csv.reader([carry], strict=True, skipinitialspace=True)
    except (csv.Error, ValueError) as error:
        raise ValueError(f"names by commas are wanted, and {carry!r} is none: {error}") from None
    return list(dict.fromkeys(filter(None, map(trimmed, names))))


def carried_places(header: Sequence[str], carry: str) -> Mapping[str, int | None]:
    """Carried column → its place in the header, None where it has none; in the order of the file (ALL) or as named.

    A name is found as it is spelled, else in any case, if only one can be meant. Columns that share a name have a
    number behind it from the second on, and one without a name is called by its place (`each_name`).
    """
    if not carry:
        return {}
    places = each_name(header)
    if carry == ALL:
        return places
    by_folded: dict[str, list[int]] = {}
    for name, place in places.items():
        by_folded.setdefault(folded(name), []).append(place)
    found: dict[str, int | None] = {}
    for name in carried_names(carry):
        alike = by_folded.get(folded(name), [])
        found[name] = places.get(name, alike[0] if len(alike) == 1 else None)
    return found
