"""The output of a file, piece by piece: CSV, or Parquet with typed columns."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
import pyarrow as pa

from models.registry.spec import ModelSpec
from models.scoring.table.limits import Limits
from worker.scoring import write
from worker.scoring.predict import Scoring
from worker.scoring.predicted import Predicted

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetWriter

_GROUP_BYTES = 16 << 20  # of a row group, before it is packed
_GROUP_ROWS = 1 << 17


class Output(Protocol):
    """Bytes of the output: what `begin`, `add` and `end` give, one behind the other."""

    def begin(self) -> bytes: ...

    def add(self, predicted: Predicted) -> bytes: ...

    def end(self) -> bytes: ...


def output_of(scoring: Scoring, limits: Limits) -> Output:
    """The output of this file in the form that is set."""
    kind = ParquetRows if limits.output == "parquet" else CsvLines
    return kind(scoring.scorer.spec, scoring.carried, limits)


class CsvLines:
    def __init__(self, spec: ModelSpec, carried: Mapping[str, pa.DataType], limits: Limits) -> None:
        self._spec, self._carried, self._safe = spec, list(carried), limits.spreadsheet_safe

    def begin(self) -> bytes:
        return write.header(self._spec, self._carried)

    def add(self, predicted: Predicted) -> bytes:
        return write.rows(self._spec, predicted, spreadsheet_safe=self._safe)

    def end(self) -> bytes:
        return b""


class ParquetRows:
    """`row` int64; `id`, `prediction` and `error` text; probabilities float32; carried columns as they are in the file.

    A row without an answer has null for it; a row that was answered has null for its error.
    """

    def __init__(self, spec: ModelSpec, carried: Mapping[str, pa.DataType], limits: Limits) -> None:
        self._spec, self._safe = spec, limits.spreadsheet_safe
        names = write.names(spec, list(carried))
        own = [pa.int64(), pa.string(), pa.string()]
        own += [pa.float32()] * (len(names) - len(carried) - len(own) - 1)
        self._schema = pa.schema(list(zip(names, [*own, pa.string(), *carried.values()], strict=True)))
        self._sink = _Sink()
        self._waiting: list[pa.Table] = []
        self._writer: ParquetWriter | None = None

    def begin(self) -> bytes:
        from pyarrow.parquet import ParquetWriter  # imported where it is used: 20 ms, 7 MB

        self._writer = ParquetWriter(pa.PythonFile(cast(Any, self._sink), mode="w"), self._schema)
        return self._sink.taken()

    def add(self, predicted: Predicted) -> bytes:
        self._waiting.append(pa.table(self._columns(predicted), schema=self._schema))
        rows, size = (sum(getattr(table, what) for table in self._waiting) for what in ("num_rows", "nbytes"))
        return self._group() if rows >= _GROUP_ROWS or size >= _GROUP_BYTES else b""

    def end(self) -> bytes:
        if self._writer is None:
            return b""
        begun = self._group() if self._waiting else b""
        self._writer.close()
        return begun + self._sink.taken()

    def _group(self) -> bytes:
        if self._writer is not None:
            self._writer.write_table(pa.concat_tables(self._waiting).combine_chunks())
        self._waiting = []
        return self._sink.taken()

    def _columns(self, predicted: Predicted) -> list[pa.Array]:
        count, first, errors = len(predicted.labels), predicted.first_row, predicted.error_texts
        positive = write.positive_index(self._spec)
        wanted = range(len(self._spec.classes)) if positive is None else (positive,)
        failed = np.zeros(count, dtype=bool)
        failed[list(errors)] = True
        copied = write.copying(spreadsheet_safe=self._safe)
        return [
            pa.array(np.arange(first, first + count)),
            pa.nulls(count, pa.string()) if predicted.ids is None else copied(predicted.ids),
            pa.array(predicted.labels, pa.string(), mask=failed),
            *(pa.array(np.ascontiguousarray(predicted.probabilities[:, k]), mask=failed) for k in wanted),
            copied(pa.array([errors.get(at) for at in range(count)], pa.string())),
            *(copied(cells) if pa.types.is_string(cells.type) else cells for cells in predicted.carried),
        ]


class _Sink(io.RawIOBase):
    """What was written since it was taken last."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def taken(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)
