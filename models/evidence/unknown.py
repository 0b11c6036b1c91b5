"""Texts that a version was never shown: column → rows, for production and for staging."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

Counts = Mapping[str, int]


@dataclass(frozen=True)
class UnknownTexts:
    """One column with such texts; None where the version does not know what it was shown there."""

    column: str
    production: Annotated[int | None, Field(description="rows")]
    staging: int | None


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

    def columns(self) -> tuple[UnknownTexts, ...]:
        """Columns with any unknown text, those with the most rows first."""
        sides = [side or {} for side in (self.production, self.staging)]
        found = [
            UnknownTexts(name, sides[0].get(name), sides[1].get(name)) for name in dict.fromkeys([*sides[0], *sides[1]])
        ]
        most = {each: max(each.production or 0, each.staging or 0) for each in found}
        return tuple(sorted((each for each in found if most[each]), key=lambda each: (-most[each], each.column)))

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
