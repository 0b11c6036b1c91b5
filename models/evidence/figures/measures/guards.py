"""What staging must not be worse at: a measure, and how much worse is still borne."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from models.evidence.figures.measures.bad_measure import BadMeasure
from models.evidence.figures.measures.named import MeasureName
from models.evidence.figures.sequence import Looks


class GuardState(StrEnum):
    MET = "met"
    OPEN = "open"
    BROKEN = "broken"


@dataclass(frozen=True)
class Guard:
    """`borne`: nought or more, by how much staging may be worse; a share, or in the measure's own unit."""

    measure: MeasureName
    borne: float

    @classmethod
    def parse(cls, text: str) -> Guard:
        """`accuracy:-0.5` (points), `recall:CLASS:-1`, `log-loss:-0.01` (its own unit). Raises BadMeasure."""
        measure, colon, bound = text.rpartition(":")
        try:
            value = float(bound.replace("\N{MINUS SIGN}", "-"))
        except ValueError:
            value = np.nan
        if not colon or not np.isfinite(value) or value > 0:
            raise BadMeasure(
                f"{text!r} is no guard: write a measure and how much worse is still borne, as nought or a negative "
                f"number, like accuracy:-0.5 (points) or log-loss:-0.01"
            )
        name = MeasureName.parse(measure)
        return cls(name, -value / 100 if name.shares else -value)

    def __str__(self) -> str:
        return f"{self.measure}:{-self.borne * (100 if self.measure.shares else 1):g}"

    def state(self, looks: Looks) -> tuple[GuardState, int | None]:
        """Whether the bounds say yet that staging is no worse than that; and the look at which they first did.

        Open where earlier and later bounds exclude each other: the difference changes over time.
        """
        if looks.moved or not looks.rows.size:
            return GuardState.OPEN, None
        met, broken = looks.low >= -self.borne, looks.high < -self.borne
        if met.any():  # bounds only narrow, so what was once known stays known
            return GuardState.MET, int(np.argmax(met))
        return (GuardState.BROKEN, int(np.argmax(broken))) if broken.any() else (GuardState.OPEN, None)
