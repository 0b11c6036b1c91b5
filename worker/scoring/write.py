"""Predictions as CSV bytes: one row per input row, in order. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from models.registry.spec import ModelSpec
from worker.scoring.formula import harmless

_LINES = pacsv.WriteOptions(include_header=False, quoting_style="none")


def positive_index(spec: ModelSpec) -> int | None:
    """Which column of the probabilities is written where there are two classes; None where all are.

    Of a version that names no positive class it is the second. `read_spec` lets none through that names another.
    """
    if len(spec.classes) != 2:
        return None
    return 1 if spec.positive is None else spec.classes.index(spec.positive)


def header(spec: ModelSpec) -> bytes:
    """The header row of an output of this model."""
    if positive_index(spec) is not None:
        probabilities = ["probability"]
    else:
        probabilities = [f"probability_{label}" for label in spec.classes]
    cells = _quoted(pa.array(["row", "id", "prediction", *probabilities, "error"]))
    return ",".join(cells.to_pylist()).encode() + b"\n"


def rows(
    spec: ModelSpec,
    first_row: int,
    ids: np.ndarray[Any, Any] | pa.Array | None,
    labels: np.ndarray[Any, Any],
    probabilities: np.ndarray[Any, Any],
    errors: Mapping[int, str],
    *,
    spreadsheet_safe: bool = False,
) -> bytes:
    """N rows as CSV: `ids` [N] text or None, `labels` [N] text, `probabilities` [N, K] float32, `errors` index → text.

    A row in `errors` keeps its place, with an empty prediction. A probability is written with the fewest digits that
    give the same float32 back. What is copied from the file (ids, and cells in error texts) stays as it is, for it is
    joined by; `spreadsheet_safe`: unless a spreadsheet would take it for a formula.
    """
    count = len(labels)
    if count == 0:
        return b""
    positive = positive_index(spec)
    wanted = range(len(spec.classes)) if positive is None else (positive,)
    copied = harmless if spreadsheet_safe else _as_it_is
    numbers = pa.array(np.arange(first_row, first_row + count))
    names, answers = copied(_strings(ids)) if ids is not None else _empty(count), _strings(labels)
    floats = [pa.array(np.ascontiguousarray(probabilities[:, k])) for k in wanted]
    if not errors:
        with suppress(pa.ArrowInvalid):  # a cell needs quotes
            return _plain([numbers, names, answers, *floats, _empty(count)])
    failed = np.zeros(count, dtype=bool)
    failed[list(errors)] = True
    blank = pa.array(failed)
    return _joined(
        [
            numbers.cast(pa.string()),
            _quoted(names),
            pc.if_else(blank, "", _quoted(answers)),
            *(pc.if_else(blank, "", cells.cast(pa.string())) for cells in floats),
            _quoted(copied(pa.array([errors.get(i, "") for i in range(count)]))),
        ]
    )


def _plain(columns: list[pa.Array]) -> bytes:
    """Columns none of whose cells needs quotes as lines. Raises ArrowInvalid where one does.

    What Arrow writes of a number is what its cast gives.
    """
    out = pa.BufferOutputStream()
    pacsv.write_csv(pa.Table.from_arrays(columns, list(map(str, range(len(columns))))), out, _LINES)
    lines: bytes = out.getvalue().to_pybytes()
    return lines


def _joined(columns: list[pa.Array]) -> bytes:
    lines = pc.binary_join_element_wise(*columns, ",")
    joined: str = pc.binary_join(pa.ListArray.from_arrays([0, len(lines)], lines), "\n")[0].as_py()
    return joined.encode() + b"\n"


def _as_it_is(cells: pa.Array) -> pa.Array:
    return cells


def _strings(cells: np.ndarray[Any, Any] | pa.Array) -> pa.Array:
    return cells if isinstance(cells, pa.Array) else pa.array(cells, pa.string())


def _empty(count: int) -> pa.Array:
    return pa.repeat(pa.scalar(""), count)


def _quoted(cells: pa.Array) -> pa.Array:
    """Cells with quotes around those that need them (RFC 4180)."""
    needs = pc.match_substring_regex(cells, '[",\r\n]')
    if not pc.any(needs).as_py():
        return cells
    escaped = pc.binary_join_element_wise('"', pc.replace_substring(cells, '"', '""'), '"', "")
    return pc.if_else(needs, escaped, cells)
