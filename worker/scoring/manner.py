"""How a worker reads files and writes predictions, as its settings say."""

from __future__ import annotations

from dataclasses import dataclass

from models.scoring.table.limits import USUAL_LIMITS, Limits


@dataclass(frozen=True)
class Manner:
    """The same for every file.

    `spreadsheet_safe`: copied cells that look like formulas are made harmless; `encoding`: of files that have no mark;
    `max_unknown`: the share of a column's texts from which on, if the model was never shown them, a file is rejected.
    """

    limits: Limits = USUAL_LIMITS
    spreadsheet_safe: bool = False
    encoding: str = "utf-8"
    max_unknown: float = 1.0


USUAL_MANNER = Manner()
