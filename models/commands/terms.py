"""The options that say on what terms versions are compared."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import NoDecode

from edge.command import Command

if TYPE_CHECKING:
    from models.evidence.figures.terms import Terms


def listed(given: object) -> object:
    """What stands in the environment as a list: by commas, or as JSON."""
    if not isinstance(given, str):
        return given
    return json.loads(given) if given.lstrip().startswith("[") else [part for part in given.split(",") if part.strip()]


def measure_name(given: str) -> str:
    """Raises ValueError where it names no measure."""
    from models.evidence.figures.measures.bad_measure import BadMeasure
    from models.evidence.figures.measures.named import MeasureName

    try:
        return str(MeasureName.parse(given))
    except BadMeasure as error:
        raise ValueError(str(error)) from None


def guards(given: list[str]) -> list[str]:
    """Raises ValueError where one is no guard, or one measure has two."""
    from models.evidence.figures.measures.bad_measure import BadMeasure
    from models.evidence.figures.measures.guards import Guard

    try:
        found = [Guard.parse(each) for each in given]
    except BadMeasure as error:
        raise ValueError(str(error)) from None
    measures = [guard.measure for guard in found]
    if twice := next((each for each in measures if measures.count(each) > 1), None):
        raise ValueError(f"{twice} is guarded twice")
    return [str(each) for each in found]


class TermsOptions(Command):
    """By which measure, with which guards, from which difference on."""

    measure: Annotated[str, AfterValidator(measure_name)] = Field(
        "accuracy", description="by what: accuracy, log-loss, brier, cost, f1, recall:CLASS or precision:CLASS"
    )
    guard: Annotated[list[str], NoDecode, BeforeValidator(listed), AfterValidator(guards)] = Field(
        default_factory=list,
        description="what staging must not be worse at, and how much worse is borne: accuracy:-0.5 (points), "
        "recall:CLASS:-1, log-loss:-0.01; again, or by commas",
    )
    cost: str | None = Field(
        None, description="for the measure cost: a CSV or JSON file, or JSON: by true class what each predicted costs"
    )
    unit: Literal["row", "file"] = Field("row", description="of the evidence; file: where rows of a file hang together")
    margin: float | None = Field(
        None,
        gt=0,
        description="the difference that matters, in the measure's unit (default: 0.005, of shares half a point; "
        "brier 0.0025; cost 0.5 % of its range)",
    )

    def terms(self) -> Terms:
        """What is asked for. Raises BadMeasure where the costs are wanting, or cannot be read."""
        from models.evidence.figures.measures.costs import Costs
        from models.evidence.figures.measures.guards import Guard
        from models.evidence.figures.measures.named import MeasureName
        from models.evidence.figures.terms import Terms

        costs = None if self.cost is None else Costs.read(self.cost)
        found = tuple(map(Guard.parse, self.guard))
        terms = Terms(self.unit, self.margin, MeasureName.parse(self.measure), found, costs)
        terms.check()
        return terms
