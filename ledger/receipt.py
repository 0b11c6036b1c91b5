"""What became of one scoring of one file: the outcome that a claim carries and the receipt that ends it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

from ledger.names import Key
from transport.event import Generation, ObjectEvent

MAX_LISTED_ERRORS = 20
MAX_ERROR_TEXT = 300
MAX_UNKNOWN_COLUMNS = 20
MAX_OUTCOME_BYTES = 7_000  # of Cloud Storage's 8 KiB for an object's metadata


class Status(StrEnum):
    SCORED = "scored"
    REJECTED = "rejected"
    SUPERSEDED = "superseded"
    DEAD_LETTERED = "dead-lettered"


@dataclass(frozen=True)
class RowError:
    """What was wrong, where: `row` counts from 1 without the header, None where the whole file is meant."""

    message: str
    row: int | None = None
    column: str | None = None


@dataclass(frozen=True)
class Source:
    """The input: `size` in bytes, checksums where they are known; `sha256` of a file that was read to its end."""

    bucket: str
    name: str
    generation: int
    rescore: int = 0
    size: int | None = None
    md5: str | None = None
    crc32c: str | None = None
    sha256: str | None = None

    @classmethod
    def of(cls, event: ObjectEvent) -> Source:
        """The object that an event tells of."""
        at = event.generation
        return cls(event.bucket, event.name, at.content, at.rescore, event.size, event.md5, event.crc32c)


@dataclass(frozen=True)
class ModelUsed:
    """The one registered version that scored the whole file."""

    name: str
    version: str
    run_id: str
    positive_class: str | None = None


@dataclass(frozen=True)
class Outcome:
    """How a file ended.

    `rejected`: reason → rows (RowFault, models/scoring/table), which add up to `rejected_rows`; `unknown`: column →
    rows with a text that the model was never shown, None where it is not known what it was shown; `fault`: why a
    rejected file has no answers (FileFault); `timings`: seconds per step; `sha256`: of the output, empty where there is
    none.
    """

    status: Status
    source: Source
    model: ModelUsed | None = None
    rows: int = 0
    rejected_rows: int = 0
    rejected: Mapping[str, int] = field(default_factory=dict)
    unknown: Mapping[str, int] | None = None
    fault: str = ""
    output: str | None = None
    sha256: str = ""
    timings: Mapping[str, float] = field(default_factory=dict)
    attempt: int = 0
    worker: str = ""
    finished: str = ""
    errors: tuple[RowError, ...] = ()

    @property
    def key(self) -> Key:
        return Key(self.source.name, Generation(self.source.generation, self.source.rescore))

    def to_json(self) -> str:
        """JSON text of at most MAX_OUTCOME_BYTES: the list of errors is cut to fit, never the counts of rows.

        At most MAX_UNKNOWN_COLUMNS columns with unknown texts are listed, those with the most rows.
        """
        errors = tuple(replace(e, message=e.message[:MAX_ERROR_TEXT]) for e in self.errors[:MAX_LISTED_ERRORS])
        most = sorted((self.unknown or {}).items(), key=lambda of: -of[1])[:MAX_UNKNOWN_COLUMNS]
        shown = replace(self, unknown=None if self.unknown is None else dict(most))
        while True:
            text = json.dumps(asdict(replace(shown, errors=errors)), indent=1)
            if len(text) <= MAX_OUTCOME_BYTES or not errors:
                return text
            errors = errors[:-1]

    @classmethod
    def from_json(cls, text: str | bytes) -> Outcome:
        """What `to_json` wrote. Raises ValueError where it is something else."""
        try:
            fields: dict[str, Any] = json.loads(text)
            return cls(
                **{
                    **fields,
                    "status": Status(fields["status"]),
                    "source": Source(**fields["source"]),
                    "model": ModelUsed(**fields["model"]) if fields.get("model") else None,
                    "errors": tuple(RowError(**error) for error in fields.get("errors", ())),
                }
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not an outcome: {error!r}") from None
