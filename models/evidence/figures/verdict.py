"""What the evidence says, in words that a person may act on at any time."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from models.evidence.figures.sequence import LOG_THRESHOLD, Looks, looks_by_file, looks_by_row
from models.evidence.record.exact import Integers

MARGIN = 0.005
ROW_STEPS = tuple(1.05**step for step in range(1, 190))  # a forecast goes to ten thousand times the rows seen
FILE_STEPS = (1.1, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 7.0, 10.0, 15.0, 20.0, 30.0, 50.0, 100.0)
MAX_FILES_FORECAST = 1_000


class Kind(StrEnum):
    STAGING = "staging is better"
    PRODUCTION = "production is better"
    NO_DIFFERENCE = "no difference"
    NOT_YET = "not yet"


@dataclass(frozen=True)
class Verdict:
    """`look`: index of the look that decided, None for NOT_YET; `more_rows`: labelled rows that are still wanted."""

    kind: Kind
    margin: float
    look: int | None = None
    more_rows: int | None = None
    reason: str = ""

    def __str__(self) -> str:
        if self.kind is Kind.NO_DIFFERENCE:
            return f"no difference above {self.margin * 100:g} points"
        if self.kind is not Kind.NOT_YET:
            return str(self.kind)
        if self.reason:
            return f"not yet: {self.reason}"
        return f"not yet: about {self.more_rows:,} more labelled rows at this rate"


def decide(
    won: Integers, lost: Integers, rows: Integers, *, unit: str = "row", margin: float = MARGIN
) -> tuple[Verdict, Looks]:
    """The verdict after F files in order of event time, and the looks that led to it.

    `won`, `lost`, `rows` [F]: rows that only staging, only production had right, and labelled rows, per file. One model
    is better once its evidence has reached the threshold at any look (the error of both together is at most ERROR);
    there is no difference once the confidence sequence lies within ±`margin`.
    """
    looks = (looks_by_file if unit == "file" else looks_by_row)(won, lost, rows)
    decided = _first_decision(looks, margin)
    if decided is not None:
        return decided, looks
    return Verdict(Kind.NOT_YET, margin, *_forecast(won, lost, rows, unit, margin)), looks


def _first_decision(looks: Looks, margin: float) -> Verdict | None:
    staging, production = (_first(side >= LOG_THRESHOLD) for side in (looks.for_staging, looks.for_production))
    if staging is not None and production is not None:
        reason = "each was better for a time, so the difference changes; compare within a shorter time"
        return Verdict(Kind.NOT_YET, margin, reason=reason)
    if staging is not None:
        return Verdict(Kind.STAGING, margin, staging)
    if production is not None:
        return Verdict(Kind.PRODUCTION, margin, production)
    within = None if looks.moved else _first((looks.low >= -margin) & (looks.high <= margin) & (looks.rows > 0))
    return None if within is None else Verdict(Kind.NO_DIFFERENCE, margin, within)


def _first(holds: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> int | None:
    return int(np.argmax(holds)) if bool(np.any(holds)) else None


def _forecast(won: Integers, lost: Integers, rows: Integers, unit: str, margin: float) -> tuple[None, int | None, str]:
    total = farthest = int(np.sum(rows))
    if total == 0:
        return None, None, "no labelled rows so far"
    for times in FILE_STEPS if unit == "file" else ROW_STEPS:
        if unit == "file":
            files = round(len(rows) * times)
            if files > MAX_FILES_FORECAST and times > FILE_STEPS[2]:
                break
            again = [np.resize(part, max(files, len(rows) + 1)) for part in (won, lost, rows)]  # files as they came
        else:
            again = [np.array([round(float(np.sum(part)) * times)]) for part in (won, lost, rows)]
        farthest = int(again[2].sum()) - total
        looks = (looks_by_file if unit == "file" else looks_by_row)(*again)
        if _first_decision(looks, margin) is not None:
            return None, _rounded(farthest), ""
    return None, None, f"more than {_rounded(farthest):,} more labelled rows at this rate"


def _rounded(rows: float) -> int:
    """Two figures are all that a forecast is worth."""
    if rows < 10:
        return max(1, round(rows))
    step = 10 ** (len(str(round(rows))) - 2)
    return int(-(-rows // step) * step)
