"""A bucket as workers leave it: files, both models' outputs and comparison records, made without any worker."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from ledger.commit import SOURCE_GENERATION
from ledger.names import Key, ShadowKey
from models.evidence.record.comparison import Comparison, FileHeader, Predictions
from models.registry.spec import Column, ModelSpec
from tests.unit.registered import MODEL
from tests.worker_fixtures import output_rows
from transport.bucket import Bucket, put
from transport.event import Generation
from worker.scoring import write

CLASSES = ("neutral or dissatisfied", "satisfied")
START = datetime(2026, 5, 1, 8, tzinfo=UTC)
PROFILE = {
    "Class": {"categories": ["Eco", "Business"], "counts": [500, 500], "gaps": 0},
    "Age": {"edges": [0.0, 30.0, 50.0, 90.0], "counts": [300, 400, 300], "gaps": 0},
}


def spec(version: str, **changes: Any) -> ModelSpec:
    fields: dict[str, Any] = {
        "name": MODEL,
        "version": version,
        "run_id": f"run{version}",
        "columns": (Column("Class", is_text=True), Column("Age", is_text=False)),
        "classes": CLASSES,
        "positive": CLASSES[1],
        "id_column": "id",
        "label_column": "satisfaction",
        "profile": PROFILE,
    }
    return ModelSpec(**fields | changes)


def rows_of(number: int, rows: int, better: float) -> dict[str, Any]:
    """A file's content and both models' answers (float32, of the positive class); the last row has no usable age."""
    random = np.random.default_rng(number)
    truth = random.integers(0, 2, rows)
    wrong = random.random(rows) < 0.15
    saved = random.random(rows) < abs(better)
    sides = [wrong & ~saved, wrong] if better < 0 else [wrong, wrong & ~saved]
    positive = [np.clip(np.abs(side - truth) * 0.7 + 0.15 + random.normal(0, 0.03, rows), 0.01, 0.99) for side in sides]
    return {
        "ids": np.array([f"{number}-{row}" for row in range(rows)], dtype=object),
        "truth": np.array(CLASSES, dtype=object)[truth],
        "Class": np.where(random.random(rows) < 0.5, "Business", "Eco").astype(object),
        "Age": np.round(random.normal(40, 15, rows)),
        "positive": [side.astype(np.float32) for side in positive],
    }


def add_file(
    bucket: Bucket,
    number: int,
    *,
    better: float = 0.0,
    rows: int = 400,
    labelled: bool = True,
    versions: tuple[ModelSpec, ModelSpec] | None = None,
    rescore: int = 0,
    prefix: str = "f",
    alias: str = "",
) -> Key:
    """Puts a file there with all that scoring it leaves behind; of `rows` + 2 rows two could not be scored.

    `alias`: of a further challenger, which has the file as it is there from the first.

    `better`: the share of its errors that one of the models does not make: staging, or where negative production.
    """
    production, staging = versions or (spec("1"), spec("2"))
    made = rows_of(number, rows, better)
    name = f"{prefix}{number:03}.csv"
    lines = ["\ufeffid, Class,Age,satisfaction"]
    ages = [f" {age:g}" if age > 30 else "NA" for age in made["Age"]]
    made["Age"] = np.where(made["Age"] > 30, made["Age"], np.nan)
    for row, label in enumerate(made["truth"]):
        cells = made["ids"][row], f'"{made["Class"][row]}"', ages[row], label if labelled else ""
        lines.append(",".join(cells))
    lines += ["", "not,enough", f"{number}-last,Eco,old,satisfied"]
    content = ("\n".join(lines) + "\n").encode()
    found = bucket.stat(name)
    generation = found.generation if found and (rescore or alias) else put(bucket, name, content).generation
    key = ShadowKey(name, Generation(generation, rescore), alias)

    at = START + timedelta(hours=number)
    record = Comparison.start(production, staging, FileHeader(name, str(key.generation), at))
    errors = {rows: "row has 2 fields", rows + 1: "Age: is not a number: 'old'"}
    ids = np.array([*made["ids"], "", f"{number}-last"], dtype=object)
    sides = []
    for of, positive, output in zip((production, staging), made["positive"], (key.output, key.shadow), strict=True):
        place = of.classes.index(of.positive or of.classes[1])
        is_positive = CLASSES.index(of.classes[place]) == 1
        written = positive if is_positive else 1 - positive
        both = np.empty((rows, 2), dtype=np.float32)
        both[:, place], both[:, 1 - place] = written, 1 - written
        labels = np.array(CLASSES, dtype=object)[(positive > 0.5).astype(int)]
        labels, both = np.append(labels, [None, None]), np.vstack([both, np.full((2, 2), np.nan, np.float32)])
        text = write.header(of) + output_rows(of, 1, ids, labels, both, errors)
        put(bucket, output, text, metadata={SOURCE_GENERATION: str(key.generation)})
        sides.append((labels, both))
    truth = np.array([*(made["truth"] if labelled else [""] * rows), "", "satisfied"], dtype=object)
    columns = {
        "Class": np.array([*made["Class"], "", "Eco"], dtype=object),
        "Age": np.append(made["Age"], [np.nan, np.nan]),
    }
    served = np.array([str(each) for each in sides[0][1][:, 1]]).astype(np.float64)  # as read back from the output
    record.add(
        Predictions(sides[0][0], np.column_stack([1 - served, served]), 0.02),
        Predictions(sides[1][0], sides[1][1].astype(np.float64), 0.01),
        truth,
        columns,
        ids,
    )
    put(bucket, key.comparison, json.dumps(record.to_json()).encode())
    return key


def added_up(records: Iterable[Comparison]) -> list[Comparison]:
    """The records by pair of versions, pairs in order of their first file; a file's newest re-scoring comes first."""
    pairs: dict[object, Comparison] = {}
    for record in records:
        pairs.setdefault(record.pair.versions, Comparison(record.pair)).take(record)
    return sorted(pairs.values(), key=lambda whole: whole.files.in_order()[0].order)


def labels_of(numbers: range, rows: int = 400) -> bytes:
    """The labels of such files, as one CSV in another order."""
    lines = []
    for number in numbers:
        made = rows_of(number, rows, 0.0)
        lines += [f"{row_id},{label}" for row_id, label in zip(made["ids"], made["truth"], strict=True)]
    np.random.default_rng(0).shuffle(lines)
    return "\n".join(["id,satisfaction", *lines]).encode()


def add_failure(bucket: Bucket, name: str, reason: str, *, staging: str = "2") -> None:
    """The record of a file that could not be compared."""
    at = START + timedelta(hours=1)
    record = {
        "schema": "understudy.comparison.failed",
        "version": 1,
        "production": f"{MODEL} version 1",
        "staging": f"{MODEL} version {staging}",
        "file": {"name": name, "generation": "7", "event_time": at.isoformat()},
        "failed": reason,
    }
    put(bucket, Key(name, Generation(7)).comparison, json.dumps(record).encode())
