"""Everything that a report says of one pair of versions, as one value; its JSON form is docs/evidence.schema.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from models.evidence.figures.clusters import Slice
from models.evidence.figures.measures.guards import GuardState
from models.evidence.figures.statistics import Estimate, Measure
from models.evidence.figures.verdict import Verdict
from models.evidence.figures.without_labels import WithoutLabels
from models.evidence.record.pair import Version
from models.evidence.record.sketch import Share

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Look:
    """The evidence after one file; logarithms are natural, and `threshold` of Evidence decides."""

    file: str
    event_time: datetime | None
    rows: Annotated[int, Field(description="labelled rows so far")]
    difference: Annotated[
        float,
        Field(
            description="by how much staging is better so far: of a share staging's minus production's, of a loss or "
            "cost production's minus staging's"
        ),
    ]
    low: Annotated[float, Field(description="lower bound of the confidence sequence of the difference")]
    high: float
    log_e_staging: Annotated[float, Field(description="logarithm of the e-value for: staging is better")]
    log_e_production: float


@dataclass(frozen=True)
class ByMeasure:
    """One measure of both models, over all rows whose records can answer."""

    name: Annotated[str, Field(description="as it is asked for: accuracy, log-loss, recall:CLASS, …")]
    title: Annotated[str, Field(description="in words")]
    shares: Annotated[bool, Field(description="figures are shares, and differences are written in points")]
    lower_is_better: bool
    asymptotic: Annotated[bool, Field(description="bounds and evidence keep their error in large samples only")]
    production: Annotated[float | None, Field(description="null where no labelled row can answer")]
    staging: float | None


@dataclass(frozen=True)
class GuardFigures:
    """What staging must not be worse at. Bounds are as in Look, and hold at every look."""

    measure: ByMeasure
    at_least: Annotated[float, Field(description="the difference from which on the guard is met; nought or less")]
    state: Annotated[GuardState, Field(description="met, open or broken")]
    sentence: str
    difference: float
    low: float
    high: float


@dataclass(frozen=True)
class Evidence:
    """The verdict that holds at every look, and what led to it. `unit`: `row`, or `file`."""

    verdict: Verdict
    sentence: str
    unit: str
    margin: float
    error: Annotated[float, Field(description="of the measure, and of each guard, for one challenger: a share of 0.05")]
    threshold: Annotated[float, Field(description="natural logarithm; an e-value that reaches it decides")]
    measure: Annotated[ByMeasure, Field(description="by which the verdict is reached")]
    guards: tuple[GuardFigures, ...]
    looks: tuple[Look, ...]
    overdispersion: Annotated[float | None, Field(description="between files; 1 where rows are independent")]


@dataclass(frozen=True)
class ReliabilityBin:
    """Rows whose score lay in [low, high): the mean score, and how often it came true."""

    low: float
    high: float
    rows: int
    mean_score: float
    true: Estimate


@dataclass(frozen=True)
class ColumnDrift:
    """One input column against the training data: `bins` are their names, the counts of both in each."""

    column: str
    psi: float
    by_chance: Annotated[float, Field(description="the PSI that chance alone stays below in 95 of 100 cases")]
    jensen_shannon: float
    grade: Annotated[str, Field(description="stable, moderate or major")]
    bins: tuple[str, ...]
    training: tuple[int, ...]
    seen: tuple[int, ...]


@dataclass(frozen=True)
class UnknownTexts:
    """Rows with texts in one column that a version was never shown; None where it does not know what it was shown."""

    column: str
    production: int | None
    staging: int | None


@dataclass(frozen=True)
class Period:
    """What both models answered in a stretch of files; `psi` of the scores against the first period's."""

    first: datetime | None
    last: datetime | None
    files: int
    rows: int
    production_share: Annotated[float, Field(description="rows to which production gave the positive class")]
    staging_share: float
    production_psi: float
    staging_psi: float
    psi_by_chance: float


@dataclass(frozen=True)
class Cost:
    """What one version costs; None where it is not known."""

    seconds_per_row: float
    seconds_per_file: float
    memory_bytes: int | None = None
    artifact_bytes: int | None = None


@dataclass(frozen=True)
class SeenBefore:
    """How much of the evidence is the same rows again, or rows that a model learned from."""

    copies: Annotated[int, Field(description="files left out, because their content had counted")]
    copied_rows: int
    repeated: Annotated[Share | None, Field(description="labelled rows whose id an earlier one had; null without ids")]
    learned_by_production: Annotated[Share | None, Field(description="labelled rows that it was fitted on")]
    learned_by_staging: Share | None
    doubts: Annotated[tuple[str, ...], Field(description="why the verdict is not to be acted on; none as a rule")]


@dataclass(frozen=True)
class ChallengerFigures:
    """One of several challengers of the same production version, by the measure of Evidence; bounds as in Look."""

    alias: str
    version: str
    verdict: str
    rows: Annotated[int, Field(description="labelled rows")]
    production: float | None
    staging: float | None
    difference: float | None
    low: float | None
    high: float | None
    log_e_staging: Annotated[float, Field(description="the highest so far")]
    log_e_production: float
    agreement: float | None
    doubts: tuple[str, ...]


@dataclass(frozen=True)
class Summary:
    """One production and one staging version, compared over some files. Tables are [production's class][staging's]."""

    production: Version
    staging: Version
    classes: tuple[str, ...]
    positive: str
    files: int
    first_event: datetime | None
    last_event: datetime | None
    rows: Annotated[Mapping[str, int], Field(description="by what became of them; read, compared, labelled, failed_…")]
    evidence: Evidence
    seen_before: SeenBefore
    agreement: Estimate | None
    kappa: float | None
    agreement_table: tuple[tuple[int, ...], ...]
    probability_difference: Estimate | None
    difference_quantiles: Mapping[str, float]
    difference_histogram: Annotated[tuple[int, ...], Field(description="41 bins of equal width from -1 to 1")]
    measures: Mapping[str, Measure]
    without_labels: Annotated[
        WithoutLabels | None,
        Field(
            description="estimated accuracy on rows without a label; no verdict rests on it. Null where all have one"
        ),
    ]
    mcnemar: Annotated[float | None, Field(description="p of McNemar's exact test, for one look only")]
    paired: Mapping[str, int]
    confusion: Annotated[
        tuple[tuple[tuple[int, ...], ...], ...], Field(description="production's and staging's, [true][predicted]")
    ]
    reliability: Annotated[tuple[tuple[ReliabilityBin, ...], ...], Field(description="production's and staging's")]
    drift: tuple[ColumnDrift, ...]
    unknown: Annotated[tuple[UnknownTexts, ...], Field(description="columns with texts that a version was never shown")]
    periods: tuple[Period, ...]
    slices_tested: int
    slices_worst: tuple[Slice, ...]
    slices_best: tuple[Slice, ...]
    slices: Annotated[tuple[Slice, ...], Field(description="every slice, from the worst for staging to the best")]
    production_cost: Cost
    staging_cost: Cost
    notes: Annotated[tuple[str, ...], Field(description="warnings, and what could not be compared and why")]
    challengers: Annotated[
        tuple[ChallengerFigures, ...],
        Field(description="all that the aliases name now, this one among them; none where it is the only one"),
    ] = ()
    schema_version: int = SCHEMA_VERSION

    def to_json(self) -> dict[str, Any]:
        """Plain data for JSON: times are ISO 8601, figures that are no number are null."""
        data: dict[str, Any] = json.loads(_ADAPTER.dump_json(self))
        return data

    @property
    def cheaper(self) -> bool:
        """True where staging takes less time per row than production."""
        return self.staging_cost.seconds_per_row < self.production_cost.seconds_per_row


_ADAPTER: TypeAdapter[Summary] = TypeAdapter(Summary)


def json_schema() -> dict[str, Any]:
    """The JSON schema of `Summary.to_json`."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_ADAPTER.json_schema(mode="serialization")}


if __name__ == "__main__":
    print(json.dumps(json_schema(), indent=2))
