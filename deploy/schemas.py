"""`make docs`: the JSON schemas in docs/, from the code that writes what they describe."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field, TypeAdapter

from deploy.processes import ROOT
from edge.command import Command, main
from edge.notify.news import AliasMoved, FileEnded, Happening, VerdictReached, VersionRefused, WorkersSilent
from ledger.receipt import Outcome
from models.evidence.figures import summary
from models.evidence.record.columns import Unknown
from models.evidence.record.comparison import Comparison, FileHeader, Predictions
from models.registry.spec import Column, ModelSpec
from transport.event import Generation, ObjectAttributes, ObjectEvent, ObjectResource
from worker.shadow import failed_record

DRAFT = "https://json-schema.org/draft/2020-12/schema"

DATA: Mapping[Happening, Any] = {
    Happening.REJECTED: FileEnded,
    Happening.DEAD_LETTERED: FileEnded,
    Happening.REFUSED: VersionRefused,
    Happening.MOVED: AliasMoved,
    Happening.VERDICT: VerdictReached,
    Happening.SILENCE: WorkersSilent,
}
# Of a comparison record: objects whose names are data, such as columns, and what may be null.
BY_NAME = ("columns", "training", "inputs", "slices", "each of slices", "each of unknown", "unknown")
NULLABLE = (
    *("file", "first_event", "last_event", "label_column", "id_column", "sha256"),
    *("each of slices", "each of unknown"),
)


def receipt() -> dict[str, Any]:
    """Of an object below output/receipts/."""
    return {"$schema": DRAFT, **TypeAdapter(Outcome).json_schema(mode="serialization"), "title": "Receipt"}


def event() -> dict[str, Any]:
    """Of a message in the queue: its attributes, and its data."""
    parts = {"attributes": ObjectAttributes, "data": ObjectResource}
    return {
        "$schema": DRAFT,
        "title": "Event",
        "type": "object",
        "properties": {name: TypeAdapter(part).json_schema() for name, part in parts.items()},
        "required": list(parts),
    }


def notification() -> dict[str, Any]:
    """Of a message to a receiver of --notify: a CloudEvent 1.0, with what its `data` holds by its `type`."""
    text = {"type": "string", "minLength": 1}
    return {
        "$schema": DRAFT,
        "title": "Notification",
        "type": "object",
        "properties": {
            "specversion": {"const": "1.0"},
            "id": {**text, "description": "the same for the same thing: a receiver that has seen it drops the message"},
            "source": {**text, "format": "uri-reference", "description": "the bucket"},
            "type": {"enum": [str(one) for one in Happening]},
            "subject": text,
            "time": {"type": "string", "format": "date-time"},
            "datacontenttype": {"const": "application/json"},
            "data": {"type": "object", "required": ["text"]},
        },
        "required": ["specversion", "id", "source", "type", "subject", "time", "datacontenttype", "data"],
        "oneOf": [
            {"properties": {"type": {"const": str(happening)}, "data": _data(kind)}} for happening, kind in DATA.items()
        ],
    }


def _data(kind: Any) -> dict[str, Any]:
    """What is not known, or is empty, is left out of a message."""
    schema = TypeAdapter(kind).json_schema()
    said = {"type": "string", "description": "what has happened, in a sentence"}
    return {**schema, "properties": {"text": said, **schema["properties"]}, "required": ["text"]}


def comparison() -> dict[str, Any]:
    """Of an object below output/comparisons/: read off a record, so that each field that is written is in it."""
    record = _example().to_json()
    failed = failed_record(ObjectEvent("bucket", "a.csv", Generation(1), "2026-01-01T00:00:00Z"), "1", "2", "why not")
    kinds = {"Comparison": record, "Failed": failed}
    written = {title: {"title": title, **_like("", example)} for title, example in kinds.items()}
    for title, example in kinds.items():
        written[title]["properties"] |= {name: {"const": example[name]} for name in ("schema", "version")}
    counts = {"type": "array", "items": {"type": "integer"}}
    sparse = {
        "description": "the cells of a table that are not nought: their places in it, flattened, and their counts",
        "type": "object",
        "properties": {"at": counts, "counts": counts},
        "required": ["at", "counts"],
    }
    return {"$schema": DRAFT, "title": "Comparison", "oneOf": list(written.values()), "$defs": {"Cells": sparse}}


def _example() -> Comparison:
    """A record with something in each of its fields."""
    profile = {
        "Class": {"categories": ["Eco", "Business"], "counts": [1, 1], "gaps": 0},
        "Age": {"edges": [0.0, 50.0, 90.0], "counts": [1, 1], "gaps": 0},
    }
    columns = (Column("Class", is_text=True), Column("Age", is_text=False))
    production, staging = (
        ModelSpec("model", version, "run", columns, ("no", "yes"), "yes", "id", "label", profile=profile)
        for version in "12"
    )
    record = Comparison.start(production, staging, FileHeader("a.csv", "1", datetime(2026, 1, 1, tzinfo=UTC), "abc"))
    answers = Predictions(np.array(["no"], object), np.array([[0.75, 0.25]]), 0.5)
    cells: dict[str, Any] = {"Class": np.array(["Eco"], object), "Age": np.array([30.0])}
    record.add(answers, answers, np.array(["no"], object), cells, np.array(["7"], object))
    record.unknown = Unknown({"Class": 1}, {"Class": 1})
    return record


def _like(name: str, value: Any) -> dict[str, Any]:
    """The schema of values such as this one, which stands in a record under `name`."""
    if isinstance(value, dict) and value.keys() == {"at", "counts"}:
        return {"$ref": "#/$defs/Cells"}
    if isinstance(value, dict) and name in BY_NAME:
        kinds = [_like(f"each of {name}", each) for each in value.values()]
        schema: dict[str, Any] = {"type": "object", "additionalProperties": _any(kinds)}
    elif isinstance(value, dict):
        fields = {key: _like(key, each) for key, each in value.items()}
        schema = {"type": "object", "properties": fields, "required": list(fields)}
    elif isinstance(value, list):
        schema = {"type": "array", "items": _any([_like("", each) for each in value])}
    else:
        schema = {bool: {"type": "boolean"}, int: {"type": "integer"}, float: {"type": "number"}}.get(
            type(value), {"type": "string"} if isinstance(value, str) else {}
        )
    return {"anyOf": [schema, {"type": "null"}]} if name in NULLABLE and schema else schema


def _any(kinds: list[dict[str, Any]]) -> dict[str, Any]:
    """The schema of any of these."""
    distinct = [kind for at, kind in enumerate(kinds) if kind not in kinds[:at]]
    return {} if not distinct else distinct[0] if len(distinct) == 1 else {"anyOf": distinct}


SCHEMAS: Mapping[str, Callable[[], dict[str, Any]]] = {
    "receipt": receipt,
    "comparison": comparison,
    "event": event,
    "notification": notification,
    "evidence": summary.json_schema,
}


class Schemas(Command):
    """Writes the schemas, docs/NAME.schema.json."""

    out: Path = Field(ROOT / "docs", description="the folder where they go")

    def run(self) -> int:
        """Writes them."""
        for name, schema in SCHEMAS.items():
            (self.out / f"{name}.schema.json").write_text(f"{json.dumps(schema(), indent=2)}\n", encoding="utf-8")
        return 0


if __name__ == "__main__":
    sys.exit(main("deploy.schemas", Schemas.__doc__ or "", {}, default=Schemas))
