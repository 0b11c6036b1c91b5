"""On what terms a pair is judged."""

from __future__ import annotations

from dataclasses import dataclass

from models.evidence.figures.measures.bad_measure import BadMeasure
from models.evidence.figures.measures.costs import Costs
from models.evidence.figures.measures.guards import Guard
from models.evidence.figures.measures.named import ACCURACY, MeasureName
from models.evidence.figures.sequence import shared_error


@dataclass(frozen=True)
class Terms:
    """`unit`: `row`, or `file` where rows of a file hang together; `margin`: the difference in `measure` that matters,
    None for the measure's own; `guards`: what staging must not be worse at; `costs`: for the measure `cost`;
    `challengers`: among how many versions that are compared with production the error is shared out."""

    unit: str = "row"
    margin: float | None = None
    measure: MeasureName = ACCURACY
    guards: tuple[Guard, ...] = ()
    costs: Costs | None = None
    challengers: int = 1

    def check(self) -> None:
        """Raises BadMeasure where a cost is asked for, and none is given."""
        if self.costs is None and "cost" in {self.measure.kind, *(guard.measure.kind for guard in self.guards)}:
            raise BadMeasure("the measure cost takes --cost: a file, or JSON, of what each kind of mistake costs")

    @property
    def error(self) -> float:
        """Of the measure, and of each guard, for one challenger."""
        return shared_error((1 + len(self.guards)) * self.challengers)
