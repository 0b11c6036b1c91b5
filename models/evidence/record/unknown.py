"""Texts that a version was never shown: column → rows, for production and for staging."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Counts = Mapping[str, int]


@dataclass
class Unknown:
    """Grows by `add` and `merge`. A side is None until a file of it was counted: its version may not know its texts."""

    production: Counts | None = None
    staging: Counts | None = None

    def add(self, production: Counts | None, staging: Counts | None) -> None:
        """Adds rows."""
        self.production, self.staging = _sum(self.production, production), _sum(self.staging, staging)

    def merge(self, other: Unknown) -> None:
        self.add(other.production, other.staging)

    def columns(self) -> list[tuple[str, int | None, int | None]]:
        """Column, production's rows and staging's, where there are any, those with the most first."""
        sides = [side or {} for side in (self.production, self.staging)]
        found = [(name, sides[0].get(name), sides[1].get(name)) for name in sorted({*sides[0], *sides[1]})]
        return sorted((each for each in found if any(each[1:])), key=lambda each: -max(each[1] or 0, each[2] or 0))

    def to_json(self) -> dict[str, Any]:
        return {"production": self.production, "staging": self.staging}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Unknown:
        """What `to_json` gave. Raises KeyError, TypeError, ValueError or AttributeError where it is something else."""
        sides = (fields[name] for name in ("production", "staging"))
        return cls(*(None if side is None else {str(name): int(rows) for name, rows in side.items()} for side in sides))


def _sum(one: Counts | None, other: Counts | None) -> Counts | None:
    if one is None or other is None:
        return other if one is None else one
    added = Counter(one)
    added.update(other)  # keeps columns with none, unlike +
    return dict(added)
