"""How a worker reads files and writes predictions, as its settings say."""

from __future__ import annotations

from dataclasses import dataclass

from worker.limits import USUAL_LIMITS, Limits


@dataclass(frozen=True)
class Manner:
    """The same for every file. `spreadsheet_safe`: copied cells that look like formulas are made harmless."""

    limits: Limits = USUAL_LIMITS
    spreadsheet_safe: bool = False


USUAL_MANNER = Manner()
