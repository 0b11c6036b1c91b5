"""What a fleet consists of, however it is made: a settings table per resource, and who has which role on what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Settings = dict[str, Any]


@dataclass(frozen=True, order=True)
class Grant:
    role: str
    on: str  # kind and name
    member: str
    condition: str = ""


@dataclass
class Fleet:
    """`resources`: "kind name" → its settings. A value None means: left to Google's default."""

    resources: dict[str, Settings] = field(default_factory=dict)
    grants: set[Grant] = field(default_factory=set)

    def add(self, kind: str, name: str, settings: Mapping[str, Any]) -> None:
        assert f"{kind} {name}" not in self.resources, f"{kind} {name} is made twice"
        self.resources[f"{kind} {name}"] = dict(settings)


def last(path: str) -> str:
    return path.rpartition("/")[2]
