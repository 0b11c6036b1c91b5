"""Production's output, read again beside the shadow's rows."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from models.registry.spec import ModelSpec
from worker.scoring import write
from worker.scoring.score import Hashed

SERVED_BLOCK_BYTES = 1 << 18  # of a CSV; Arrow reads up to 32 blocks ahead, and no row is longer
PARQUET_ROWS = 8192  # at once
REPLACED = (
    "production's output was replaced by that of a newer generation meanwhile, or changed: it is not its receipt's"
)


class NothingToCompare(Exception):
    """The things to compare are gone, or do not belong together; the text says why."""


class Served:
    """Production's rows as they were written, in order, any number at a time.

    Their SHA-256 shows at the end whether they are the rows of the receipt. The output's metadata would show it at the
    start, for one more call per file. Raises NothingToCompare where they are others.
    """

    def __init__(self, stream: BinaryIO, name: str, spec: ModelSpec, sha256: str, block_bytes: int) -> None:
        self._stream, self._sha256 = Hashed(stream), sha256
        self._positive = write.positive_index(spec)
        self._classes = len(spec.classes)
        types = {"prediction": pa.string()}
        if self._positive is None:
            types |= {f"probability_{label}": pa.float64() for label in spec.classes}
        else:
            types["probability"] = pa.float64()
        self._batches = self._of_csv(types, block_bytes) if name.endswith(".csv") else self._of_parquet(types)
        self._ahead = pa.table({name: pa.array([], kind) for name, kind in types.items()})

    def _of_csv(self, types: dict[str, pa.DataType], block_bytes: int) -> Iterator[Any]:
        try:
            return iter(
                pacsv.open_csv(
                    pa.PythonFile(self._stream, mode="r"),
                    read_options=pacsv.ReadOptions(use_threads=False, block_size=block_bytes),
                    parse_options=pacsv.ParseOptions(newlines_in_values=True),
                    convert_options=pacsv.ConvertOptions(
                        include_columns=list(types),
                        column_types=types,
                        null_values=[""],
                        strings_can_be_null=True,
                    ),
                )
            )
        except (pa.ArrowInvalid, KeyError):
            raise NothingToCompare(REPLACED) from None

    def _of_parquet(self, types: dict[str, pa.DataType]) -> Iterator[Any]:
        """A copy of it in a temporary file, since its footer stands at its end; read only where it is the receipt's."""
        from pyarrow.parquet import ParquetFile  # imported where it is used: 20 ms, 7 MB

        with tempfile.TemporaryFile() as spool:
            shutil.copyfileobj(self._stream, spool, 1 << 20)
            if self._stream.sha256() != self._sha256:
                raise NothingToCompare(REPLACED)
            rows = ParquetFile(spool, buffer_size=1 << 18, pre_buffer=False)
            for batch in rows.iter_batches(PARQUET_ROWS, columns=list(types), use_threads=False):
                # A CSV has the fewest digits of a float32, and its reader takes these for a float64.
                texts = [column.cast(pa.string()) for column in batch.columns]
                cells = [text.cast(kind) for text, kind in zip(texts, types.values(), strict=True)]
                yield pa.record_batch(cells, names=list(types))

    def take(self, count: int) -> tuple[pa.Array, np.ndarray[Any, Any]]:
        """The next `count` rows: labels [count] (None where the row failed) and probabilities [count, K]."""
        while self._ahead.num_rows < count:
            more = self._next()
            if more is None:
                raise NothingToCompare(REPLACED)
            self._ahead = pa.concat_tables([self._ahead, pa.Table.from_batches([more])])
        taken, self._ahead = self._ahead.slice(0, count), self._ahead.slice(count)
        labels = taken.column(0).combine_chunks()
        columns = [taken.column(i).combine_chunks().to_numpy(zero_copy_only=False) for i in range(1, taken.num_columns)]
        if self._positive is None:
            return labels, np.column_stack(columns)
        probabilities = np.empty((count, self._classes))
        probabilities[:, self._positive] = columns[0]
        probabilities[:, 1 - self._positive] = 1 - columns[0]
        return labels, probabilities

    def verify(self) -> None:
        """To be called when all rows are taken."""
        if self._ahead.num_rows or self._next() is not None or self._stream.sha256() != self._sha256:
            raise NothingToCompare(REPLACED)

    def _next(self) -> Any:
        try:
            return next(self._batches, None)
        except pa.ArrowInvalid:
            raise NothingToCompare(REPLACED) from None
