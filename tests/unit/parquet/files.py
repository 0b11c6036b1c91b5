"""A table as Parquet and as the CSV that pandas writes of it, and what comes of each."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ledger.receipt import RowError
from models.registry.spec import ModelSpec
from models.scoring.table.faults import FileFault, Unreadable
from models.scoring.table.limits import USUAL_LIMITS, Limits
from tests.worker_fixtures import SPEC, scorer, with_example
from worker.scoring.predict import Stopwatch, predict
from worker.scoring.tally import Tally

COLOURS = ("red", "green", " red ", "NA", "", "ré,d", 'said "red"', "a\nb", "5", "5.0", "True")


def parquet(table: pa.Table | Mapping[str, Any], **options: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(table if isinstance(table, pa.Table) else pa.table(dict(table)), out, **options)
    return out.getvalue()


def csv(table: pa.Table | Mapping[str, Any]) -> bytes:
    table = table if isinstance(table, pa.Table) else pa.table(dict(table))
    text: str = table.to_pandas(integer_object_nulls=True, types_mapper=_keeps_nulls).to_csv(index=False)
    return text.encode()


def _keeps_nulls(kind: pa.DataType) -> Any:
    """Whole numbers and booleans with gaps stay what they are, as pandas' own types."""
    import pandas as pd

    names = {
        "bool": "boolean",
        **{f"{sign}int{bits}": f"{sign.upper()}Int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
    }
    name = names.get(str(kind))
    return pd.api.types.pandas_dtype(name) if name else None


@dataclass(frozen=True)
class Came:
    """What came of a file: a row's label, bytes of its probabilities, id and error; and what was counted."""

    rows: list[tuple[str | None, bytes, str | None, str]]
    rejected: dict[str, int]
    errors: list[RowError]
    unknown: Mapping[str, int] | None
    refused: str = ""
    fault: FileFault | None = None


def came_of(data: bytes, name: str, spec: ModelSpec = SPEC, limits: Limits = USUAL_LIMITS) -> Came:
    tally = Tally()
    rows: list[tuple[str | None, bytes, str | None, str]] = []
    refused, fault = "", None
    try:
        for part in predict(
            io.BytesIO(data),
            scorer(with_example(spec)),
            Stopwatch(),
            name=name,
            tally=tally,
            limits=limits,
            all_columns=True,
        ):
            ids = part.ids.to_pylist() if part.ids is not None else [None] * len(part.labels)
            errors = part.error_texts
            rows += [
                (label, part.probabilities[at].tobytes(), ids[at], errors.get(at, ""))
                for at, label in enumerate(part.labels)
            ]
    except Unreadable as reason:
        refused, fault = str(reason), reason.kind
    rejected = {str(kind): count for kind, count in tally.rejected.items()}
    return Came(rows, rejected, tally.errors, tally.unknown, refused, fault)


def refusal(data: bytes, name: str = "a.parquet", **limits: Any) -> Unreadable:
    """Why a file is refused."""
    try:
        for _ in predict(io.BytesIO(data), scorer(), Stopwatch(), name=name, limits=Limits(**limits)):
            pass
    except Unreadable as reason:
        return reason
    raise AssertionError("the file was scored")


def survey(rows: int) -> pa.Table:
    """Rows for SPEC, gaps and bad cells among them."""
    return pa.table({
        "id": pa.array([f"p-{n}" for n in range(rows)]),
        "colour": pa.array([COLOURS[n % len(COLOURS)] if n % 5 else None for n in range(rows)]),
        "weight": pa.array([n / 7 if n % 6 else None for n in range(rows)]),
        "age": pa.array([n % 90 for n in range(rows)], pa.int16()),
        "label": pa.array(["yes" if n % 3 else "no" for n in range(rows)]),
    })  # fmt: skip
