"""What the evidence says, in words that a person may act on at any time."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from models.evidence.figures.measures.series import Series, grown_files
from models.evidence.figures.sequence import ERROR, Looks, log_threshold

ROW_STEPS = tuple(1.05**step for step in range(1, 190))  # a forecast goes to ten thousand times the rows seen
FILE_STEPS = (1.1, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 7.0, 10.0, 15.0, 20.0, 30.0, 50.0, 100.0)
MAX_FILES_FORECAST = 1_000


class Kind(StrEnum):
    STAGING = "staging is better"
    PRODUCTION = "production is better"
    NO_DIFFERENCE = "no difference"
    NOT_YET = "not yet"
    GUARD = "a guard is broken"


@dataclass(frozen=True)
class Verdict:
    """`look`: index of the look that decided, None for NOT_YET; `more_rows`: labelled rows that are still wanted.

    `by`: the measure in words, empty for accuracy; `shares`: the margin is one of shares.
    """

    kind: Kind
    margin: float
    look: int | None = None
    more_rows: int | None = None
    reason: str = ""
    by: str = ""
    shares: bool = True

    def __str__(self) -> str:
        if self.reason:
            return f"{self.kind}: {self.reason}"
        if self.kind is Kind.NO_DIFFERENCE:
            above = f"{self.margin * 100:g} points" if self.shares else f"{self.margin:g}"
            return f"no difference above {above}{self.by and f' in {self.by}'}"
        if self.kind is not Kind.NOT_YET:
            return f"{self.kind}{self.by and f' by {self.by}'}"
        return f"not yet: about {self.more_rows:,} more labelled rows at this rate"


def decide(series: Series, *, unit: str, margin: float, error: float = ERROR) -> tuple[Verdict, Looks]:
    """The verdict after F files in order of event time, and the looks that led to it.

    One model is better once its evidence has reached the threshold at any look (the error of both together is at most
    `error`); there is no difference once the confidence sequence lies within ±`margin`.
    """
    looks = series.looks(unit, error)
    decided = _first_decision(looks, margin, error)
    if decided is not None:
        return decided, looks
    return Verdict(Kind.NOT_YET, margin, *_forecast(series, unit, margin, error)), looks


def _first_decision(looks: Looks, margin: float, error: float) -> Verdict | None:
    sides = (looks.for_staging, looks.for_production)
    staging, production = (_first(side >= log_threshold(error)) for side in sides)
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


def _forecast(series: Series, unit: str, margin: float, error: float) -> tuple[None, int | None, str]:
    total = farthest = int(series.labelled.sum())
    if total == 0:
        return None, None, "no labelled rows so far"
    for times in FILE_STEPS if unit == "file" else ROW_STEPS:
        if unit == "file" and times > FILE_STEPS[2] and grown_files(len(series.labelled), times) > MAX_FILES_FORECAST:
            break
        again = series.grown(unit, times)
        farthest = int(again.labelled.sum()) - total
        if _first_decision(again.looks(unit, error), margin, error) is not None:
            return None, _rounded(farthest), ""
    return None, None, f"more than {_rounded(farthest):,} more labelled rows at this rate"


def _rounded(rows: float) -> int:
    """Two figures are all that a forecast is worth."""
    if rows < 10:
        return max(1, round(rows))
    step = 10 ** (len(str(round(rows))) - 2)
    return int(-(-rows // step) * step)
