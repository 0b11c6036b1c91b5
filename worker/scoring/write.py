"""Predictions as CSV bytes: one row per input row, in order. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from models.registry.spec import ModelSpec
from models.scoring.table.cells import strings
from models.scoring.table.dialect import folded
from models.scoring.table.parquet.texts import coded_texts
from worker.scoring.predicted import Predicted

_LINES = pacsv.WriteOptions(include_header=False, quoting_style="none")
_BEGINS = r"(^|[;\t\r\n])([=+\-@＝＋－＠])"
_BEGINS_WITH_BLANK = r"^([\t\r])"
_NUMBER = r"^[+-]?[0-9][0-9.,]*([eE][+-]?[0-9]+)?$"


def positive_index(spec: ModelSpec) -> int | None:
    """Which of two columns of probabilities is written; None where there are not two, and all are written.

    Without a positive class it is the second. `read_spec` refuses a positive class that is none of the classes.
    """
    if len(spec.classes) != 2:
        return None
    return 1 if spec.positive is None else spec.classes.index(spec.positive)


def names(spec: ModelSpec, carried: Sequence[str] = ()) -> list[str]:
    """The columns of an output of this model. A carried column that is called like one of ours has a number behind it.

    Case does not count there, since it does not in many databases: `ID` is written as `ID.1`.
    """
    if positive_index(spec) is not None:
        probabilities = ["probability"]
    else:
        probabilities = [f"probability_{label}" for label in spec.classes]
    found = ["row", "id", "prediction", *probabilities, "error"]
    ours, theirs = set(map(folded, found)), set(carried)
    for name in carried:
        own, number = name, 1
        while folded(own) in ours or (own != name and own in theirs):
            own, number = f"{name}.{number}", number + 1
        theirs.add(own)
        found.append(own)
    return found


def header(spec: ModelSpec, carried: Sequence[str] = ()) -> bytes:
    """The header row of an output of this model, with these columns of the file behind its own."""
    cells = _quoted(pa.array(names(spec, carried)))
    return ",".join(cells.to_pylist()).encode() + b"\n"


def rows(spec: ModelSpec, predicted: Predicted, *, spreadsheet_safe: bool = False) -> bytes:
    """N rows as CSV. A row that failed keeps its place, with an empty prediction and why.

    A probability is written with the fewest digits that give the same float32 back. Text copied from the file (ids,
    carried cells, and cells in error texts) stays as it is, because people join by it; with `spreadsheet_safe` a text
    that a spreadsheet would take for a formula gets an apostrophe.
    """
    count, first_row = len(predicted.labels), predicted.first_row
    if count == 0:
        return b""
    ids, probabilities, errors = predicted.ids, predicted.probabilities, predicted.error_texts
    positive = positive_index(spec)
    wanted = range(len(spec.classes)) if positive is None else (positive,)
    copied = copying(spreadsheet_safe=spreadsheet_safe)
    numbers = pa.array(np.arange(first_row, first_row + count))
    names, answers = copied(ids) if ids is not None else _empty(count), pa.array(predicted.labels, pa.string())
    beside = [copied(cells) if _is_string(cells) else strings(coded_texts(cells)) for cells in predicted.carried]
    floats = [pa.array(np.ascontiguousarray(probabilities[:, k])) for k in wanted]
    if not errors:
        with suppress(pa.ArrowInvalid):  # a cell needs quotes
            return _plain([numbers, names, answers, *floats, _empty(count), *beside])
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
            *map(_quoted, beside),
        ]
    )


def _plain(columns: list[pa.Array]) -> bytes:
    """The columns as lines, where no cell needs quotes. Raises ArrowInvalid where one does.

    Arrow writes a number here as its cast to text does.
    """
    out = pa.BufferOutputStream()
    pacsv.write_csv(pa.Table.from_arrays(columns, list(map(str, range(len(columns))))), out, _LINES)
    lines: bytes = out.getvalue().to_pybytes()
    return lines


def _joined(columns: list[pa.Array]) -> bytes:
    lines = pc.binary_join_element_wise(*columns, ",")
    joined: str = pc.binary_join(pa.ListArray.from_arrays([0, len(lines)], lines), "\n")[0].as_py()
    return joined.encode() + b"\n"


def copying(*, spreadsheet_safe: bool) -> Callable[[pa.Array], pa.Array]:
    """What makes of texts that stand in the file those that stand in the output."""
    return harmless if spreadsheet_safe else lambda cells: cells


def harmless(cells: pa.Array) -> pa.Array:
    """The cells, with `'` before each beginning of a formula; numbers and all other text as they are.

    A spreadsheet takes a cell for a formula that begins with one of a few letters; a mere number does no harm. Where
    it separates fields by semicolons, or the text is pasted, a cell begins within ours as well.
    """
    marked = pc.replace_substring_regex(cells, _BEGINS, r"\1'\2")
    marked = pc.replace_substring_regex(marked, _BEGINS_WITH_BLANK, r"'\1")
    return pc.if_else(pc.match_substring_regex(cells, _NUMBER), cells, marked)


def _is_string(cells: pa.Array) -> bool:
    return bool(pa.types.is_string(cells.type))


def _empty(count: int) -> pa.Array:
    return pa.repeat(pa.scalar(""), count)


def _quoted(cells: pa.Array) -> pa.Array:
    """Cells with quotes around those that need them (RFC 4180)."""
    needs = pc.match_substring_regex(cells, '[",\r\n]')
    if not pc.any(needs).as_py():
        return cells
    escaped = pc.binary_join_element_wise('"', pc.replace_substring(cells, '"', '""'), '"', "")
    return pc.if_else(needs, escaped, cells)
