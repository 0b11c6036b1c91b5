"""A labelled survey in memory, read so that a mistake in a file is named by row and column."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from models.airline.sample import survey
from models.airline.schema import CLASSES, FEATURE_COLUMNS, LABEL_COLUMN, NUMBER_COLUMNS, TEXT_COLUMNS

GAPS = ("", "NA", "NaN", "null", "na", "nan", "NULL", "N/A", "n/a")  # what a worker takes for one
Labels = np.ndarray[Any, np.dtype[np.object_]]


class BadDataset(Exception):
    """The data cannot train a model; the text says which file, row and column."""


@dataclass(frozen=True)
class Dataset:
    """N rows: `features` [N × FEATURE_COLUMNS] (text as str, "" for a gap; numbers as float64, NaN for a gap),
    `labels` [N] of CLASSES; `sha256` is that of the file, or of the rows where there is none."""

    name: str
    features: pd.DataFrame
    labels: Labels
    sha256: str

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
        return Dataset(self.name, features, self.labels[positions], self.sha256)


def read_dataset(path: Path) -> Dataset:
    """The labelled CSV at `path` (.gz too): columns by name in any order, others ignored. Raises BadDataset."""
    if not path.is_file():
        raise BadDataset(f"{path} does not exist; without --data a synthetic sample is used")
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (ValueError, OSError, UnicodeError) as error:  # pandas' own errors are ValueErrors
        raise BadDataset(f"{path} is no CSV that can be read: {str(error).strip().splitlines()[0]}") from None
    missing = [name for name in FEATURE_COLUMNS if name not in table.columns]
    if missing:
        raise BadDataset(f"{path} lacks the columns {', '.join(missing)}; it has {', '.join(table.columns[:40])}")
    if LABEL_COLUMN not in table.columns:
        raise BadDataset(f"{path} has no column {LABEL_COLUMN!r}: training needs the answers")
    if table.empty:
        raise BadDataset(f"{path} has a header and no rows")
    return Dataset(
        path.name, _features(table, path), _labels(table, path), hashlib.sha256(path.read_bytes()).hexdigest()
    )


def synthetic_dataset(rows: int, seed: int, name: str = "synthetic sample") -> Dataset:
    """`rows` rows of the generator."""
    table = survey(rows, seed)
    digest = hashlib.sha256(pd.util.hash_pandas_object(table).to_numpy().tobytes()).hexdigest()
    features = table[list(FEATURE_COLUMNS)].astype(
        {**dict.fromkeys(TEXT_COLUMNS, object), **dict.fromkeys(NUMBER_COLUMNS, np.float64)}
    )
    return Dataset(f"{name} ({rows} rows, seed {seed})", features, table[LABEL_COLUMN].to_numpy(object), digest)


def refuse_one_class(data: Dataset) -> None:
    """Raises BadDataset where all rows have the same label: nothing can be learnt or measured."""
    if len(set(data.labels)) < 2:
        raise BadDataset(f"{data.name}: all {len(data)} rows are {data.labels[0]!r}; both classes must occur")


def _features(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    columns: dict[str, Any] = {}
    for name in FEATURE_COLUMNS:
        cells = table[name]
        gap = cells.str.strip().isin(GAPS)
        if name in TEXT_COLUMNS:
            columns[name] = cells.where(~gap, "").to_numpy(object)
            continue
        numbers = pd.to_numeric(cells.where(~gap, None), errors="coerce").to_numpy(np.float64)
        wrong = ~gap.to_numpy(bool) & ~np.isfinite(numbers)
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            raise BadDataset(
                f"{path}, row {row + 1}, column {name!r}: {str(cells.iloc[row])[:80]!r} is no number "
                f"({int(wrong.sum())} such cells in this column); leave a gap empty"
            )
        columns[name] = numbers
    return pd.DataFrame(columns)


def _labels(table: pd.DataFrame, path: Path) -> Labels:
    labels = table[LABEL_COLUMN].to_numpy(object)
    unknown = np.flatnonzero(~np.isin(labels.astype(str), CLASSES))
    if unknown.size:
        row = int(unknown[0])
        raise BadDataset(
            f"{path}, row {row + 1}, column {LABEL_COLUMN!r}: {str(labels[row])[:80]!r} is neither of "
            f"{' / '.join(CLASSES)} ({unknown.size} such rows)"
        )
    return labels
