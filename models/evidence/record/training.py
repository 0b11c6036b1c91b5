"""What a version was fitted on, as far as its registration kept it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from models.evidence.record.sketch import Sketch


@dataclass(frozen=True)
class Training:
    """`ids`: a sample of the rows' ids; `sha256`: of the file. None and "" where they were not kept."""

    ids: Sketch | None = None
    sha256: str = ""

    @classmethod
    def from_json(cls, kept: Any) -> Training:
        """What stands in a version's metadata; what cannot be read there is not known."""
        if not isinstance(kept, dict):
            return cls()
        try:
            ids = Sketch.from_json(kept["ids"]) if kept.get("ids") else None
        except (ValueError, KeyError, TypeError, AttributeError):
            ids = None
        return cls(ids, str(kept.get("sha256") or ""))


Learned = tuple[Training, Training]  # what production and staging were fitted on
UNKNOWN: Learned = (Training(), Training())
