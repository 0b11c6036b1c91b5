"""A labelled survey in memory, read so that a mistake in a file is named by row and column."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from models.training.airline.sample import survey
from models.training.airline.schema import CLASSES, FEATURE_COLUMNS, ID_COLUMN, LABEL_COLUMN, TEXT_COLUMNS
from models.training.rows import BadRows, read_rows

TYPES = {name: "string" if name in TEXT_COLUMNS else "double" for name in FEATURE_COLUMNS}
Labels = np.ndarray[Any, np.dtype[np.object_]]


@dataclass(frozen=True)
class Dataset:
    """N rows: `features` [N × FEATURE_COLUMNS] (text as str, "" for a gap; numbers as float64, NaN for a gap),
    `labels` [N] of CLASSES; `sha256` is that of the file, or of the rows where there is none; `ids` [N] text, where the
    file has any."""

    name: str
    features: pd.DataFrame
    labels: Labels
    sha256: str
    ids: Labels | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def split(self, share: float, seed: int) -> tuple[Dataset, Dataset]:
        """(the rest, a random `share`), at least one row each."""
        order = np.random.default_rng(seed).permutation(len(self))
        size = min(max(round(share * len(self)), 1), len(self) - 1)
        return self.rows(np.sort(order[size:])), self.rows(np.sort(order[:size]))

    def rows(self, positions: np.ndarray[Any, np.dtype[np.int64]]) -> Dataset:
        """The rows at these positions, under the whole's name and digest."""
        features = self.features.iloc[positions].reset_index(drop=True)
        ids = None if self.ids is None else self.ids[positions]
        return Dataset(self.name, features, self.labels[positions], self.sha256, ids)


def read_dataset(path: Path) -> Dataset:
    """The labelled CSV at `path` (.gz too): columns by name in any order, others ignored. Raises BadRows."""
    rows = read_rows(path, TYPES, also=[LABEL_COLUMN, ID_COLUMN])
    if LABEL_COLUMN not in rows.columns:
        raise BadRows(f"{path} has no column {LABEL_COLUMN!r}: training and measuring need the answers")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    ids = rows[ID_COLUMN].to_numpy(object) if ID_COLUMN in rows else None
    return Dataset(path.name, rows[list(FEATURE_COLUMNS)], _labels(rows, path), digest, ids)


def synthetic_dataset(rows: int, seed: int, name: str = "synthetic sample") -> Dataset:
    """`rows` rows of the generator."""
    table = survey(rows, seed)
    digest = hashlib.sha256(pd.util.hash_pandas_object(table).to_numpy().tobytes()).hexdigest()
    features = table[list(FEATURE_COLUMNS)].astype(
        {name: object if kind == "string" else np.float64 for name, kind in TYPES.items()}
    )
    return Dataset(f"{name} ({rows} rows, seed {seed})", features, table[LABEL_COLUMN].to_numpy(object), digest)


def refuse_one_class(data: Dataset) -> None:
    """Raises BadRows where all rows have the same label: nothing can be learnt or measured."""
    if len(set(data.labels)) < 2:
        raise BadRows(f"{data.name}: all {len(data)} rows are {data.labels[0]!r}; both classes must occur")


def _labels(table: pd.DataFrame, path: Path) -> Labels:
    labels = table[LABEL_COLUMN].to_numpy(object)
    unknown = np.flatnonzero(~np.isin(labels.astype(str), CLASSES))
    if unknown.size:
        row = int(unknown[0])
        raise BadRows(
            f"{path}, row {row + 1}, column {LABEL_COLUMN!r}: {str(labels[row])[:80]!r} is neither of "
            f"{' / '.join(CLASSES)} ({unknown.size} such rows)"
        )
    return labels
