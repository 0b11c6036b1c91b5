"""The fields of an `MLmodel` file, each of one type; any other field is ignored."""

from __future__ import annotations

from typing import Annotated

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationError,
)

MOST_ROWS = 1_000  # of an example
LARGEST_COUNT = 2**53

Text = Annotated[StrictStr, Field(max_length=10_000)]
Name = Annotated[StrictStr, Field(min_length=1, max_length=1_000)]
Number = StrictFloat | Annotated[StrictInt, Field(ge=-LARGEST_COUNT, le=LARGEST_COUNT)]
Count = Annotated[StrictInt, Field(ge=0, le=LARGEST_COUNT)]
Cell = Text | Number | StrictBool | None
Texts = Annotated[list[Text], Field(fail_fast=True)]  # else each of a hundred thousand would have an error of its own
Names = Annotated[list[Name], Field(fail_fast=True)]
Numbers = Annotated[list[Number], Field(fail_fast=True)]
Counts = Annotated[list[Count], Field(fail_fast=True)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class ExampleFields(_Part):
    """`inputs`: column → N cells; `labels`: N classes; `probabilities`: N rows of K."""

    inputs: dict[Name, Annotated[list[Cell], Field(fail_fast=True, max_length=MOST_ROWS)]]
    labels: Annotated[Texts, Field(max_length=MOST_ROWS)]
    probabilities: Annotated[list[Numbers], Field(fail_fast=True, max_length=MOST_ROWS)]


class HistogramFields(_Part):
    """As `models.training.baseline.training_profile` writes it."""

    counts: Counts
    edges: Numbers | None = None
    categories: Texts | None = None
    gaps: Count = 0
    other: Count = 0


class SketchFields(_Part):
    """As `models.evidence.record.sketch.Sketch.to_json` writes it."""

    k: Annotated[StrictInt, Field(ge=1, le=2**20)]
    hashes: Annotated[StrictStr, Field(pattern="^([0-9a-f]{16})*$")]
    rows: Counts


class TrainingFields(_Part):
    """What the version was fitted on."""

    ids: SketchFields | None = None
    sha256: Text | None = None


class OurFields(_Part):
    """What a registration of ours writes under `metadata: understudy:`."""

    classes: Annotated[Texts, Field(min_length=2)]
    positive_class: Text | None = None
    id_column: Name | None = None
    label_column: Name | None = None
    example: ExampleFields | None = None
    profile: dict[Name, HistogramFields] | None = None
    texts: dict[Name, Texts | None] | None = None
    flags: Names | None = None
    no_gaps: Names | None = None
    training: TrainingFields | None = None


class InputFields(_Part):
    """One column of the signature."""

    name: Name
    type: Name


def first_trouble(error: ValidationError) -> str:
    """The place of the first wrong field, and what is wrong with it, in one line."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])[:200]
    return f"{place or 'it'}: {first['msg']}"
