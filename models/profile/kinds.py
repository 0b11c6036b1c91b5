"""What a column holds: numbers, levels (few whole numbers, like ratings), texts, or nothing that a model could use."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Kind = Literal["number", "level", "text"]
MOST_LEVELS = 12
ENOUGH_NUMBERS = 0.95  # of the cells that are no gaps: a stray word does not make a column of numbers text
_IDENTIFIER_NAME = re.compile(
    r"^(id|uuid|guid|key|index|row)$|[ _-](id|uuid|guid|key)$|[a-z]Id$|^unnamed: \d+$", re.IGNORECASE
)


@dataclass(frozen=True)
class Cells:
    """A column's N cells: `numbers` (NaN is a gap) unless it is text, `texts` (None is a gap) as they stand."""

    name: str
    kind: Kind
    texts: pd.Series[str]
    numbers: NDArray[np.float64] | None
    unreadable: int = 0

    @property
    def gaps(self) -> int:
        """How many cells hold nothing, not counting those that hold no number where numbers are."""
        return int(self.texts.isna().sum())


@dataclass(frozen=True)
class SetAside:
    """A column that is not profiled, and why."""

    name: str
    reason: str


def recognise(name: str, texts: pd.Series[str]) -> Cells | SetAside:
    """The cells of a column with their kind, or why it is set aside. A rule of thumb, named in the page."""
    present = texts.dropna()
    if present.empty:
        return SetAside(name, "every cell is a gap")
    distinct = int(present.nunique())
    if distinct == 1 and len(present) == len(texts) > 1:
        return SetAside(name, f"always {present.iloc[0]!r}")
    numbers = pd.to_numeric(texts, errors="coerce").to_numpy(dtype=np.float64)
    numbers = np.where(np.isinf(numbers), np.nan, numbers)
    readable = int(np.count_nonzero(~np.isnan(numbers)))
    if readable >= ENOUGH_NUMBERS * len(present):
        if _counts_rows(name, numbers, distinct, len(texts)):
            return SetAside(name, "an identifier: another whole number in every row")
        whole = bool(np.all(numbers[~np.isnan(numbers)] % 1 == 0))
        kind: Kind = "level" if whole and distinct <= MOST_LEVELS else "number"
        return Cells(name, kind, texts, numbers, unreadable=len(present) - readable)
    if distinct > 20 and distinct >= 0.5 * len(present):
        return SetAside(name, f"an identifier or free text: {distinct:,} different values in {len(present):,} rows")
    return Cells(name, "text", texts, None)


def _counts_rows(name: str, numbers: NDArray[np.float64], distinct: int, rows: int) -> bool:
    if np.isnan(numbers).any() or distinct < rows or rows < 20 or np.any(numbers % 1):
        return False
    span = float(numbers.max() - numbers.min())
    steps = np.diff(numbers)
    return bool(_IDENTIFIER_NAME.search(name)) or span < 2 * rows or bool(np.all(steps > 0))
