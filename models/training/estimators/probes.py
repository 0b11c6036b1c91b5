"""Rows on which a graph and its estimator are likely to part, made from rows that were given. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

TEMPLATES = 20  # of the rows given, spread over them
MOST_VALUES = 200  # put into one column
MOST_GAPS = 400  # in all: an estimator that refuses gaps is asked for each such row alone
UNKNOWN_TEXTS = ("never seen before", "Ünbekannt 東京", "0")
SEVERAL = "several columns"
GAP = "a gap"


@dataclass(frozen=True)
class Probes:
    """N rows, and of each which column was changed in it and what was put there: `columns` and `values` [N]."""

    rows: pd.DataFrame
    columns: tuple[str, ...]
    values: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.rows)


def probes(
    rows: pd.DataFrame,
    texts: Sequence[str],
    special: Mapping[str, np.ndarray[Any, Any]],
    booleans: Collection[str] = (),
    columns: Sequence[str] | None = None,
) -> Probes:
    """Probes from `rows`, whose columns `texts` are text, `booleans` true and false, and the others numbers.

    In each column alone, of `columns` where given: a gap, and (text) texts that were never seen, (booleans) each of the
    two, or (numbers) half steps, values beyond the range and the `special` ones of that column.
    """
    columns = list(map(str, rows.columns)) if columns is None else columns
    templates = _templates(rows, columns)
    made = _Made(rows, [*texts, *booleans])
    for name in columns:
        made.put([name], None, GAP, templates.head(max(3, MOST_GAPS // len(columns))))
        if name in texts:
            for text in UNKNOWN_TEXTS:
                made.put([name], text, repr(text), templates.head(3))
            continue
        if name in booleans:
            for flag in (True, False):
                made.put([name], flag, repr(flag), templates.head(3))
            continue
        made.put_numbers(name, _numbers(rows[name].to_numpy(np.float64), special.get(name)), templates)
    return made.probes()


def gaps_together(rows: pd.DataFrame, texts: Sequence[str], columns: Sequence[str], seed: int = 0) -> Probes:
    """Probes with gaps in several of `columns` at once: in all, and in any half of them."""
    random = np.random.default_rng(seed)
    made = _Made(rows, texts)
    made.put(columns, None, GAP, _templates(rows, columns).head(1))
    for at in range(len(templates := _templates(rows, columns))):
        half = [name for name in columns if random.random() < 0.5]
        if half:
            made.put(half, None, GAP, templates.iloc[[at]])
    return made.probes()


class _Made:
    """Probes in the making, out of `rows`; `objects`: the columns that are not numbers."""

    def __init__(self, rows: pd.DataFrame, objects: Sequence[str]) -> None:
        self._gaps = {name: _gap_of(rows[name]) for name in objects}
        self._rows: list[pd.DataFrame] = []
        self._columns: list[str] = []
        self._values: list[str] = []

    def put(self, names: Sequence[str], value: Any, shown: str, into: pd.DataFrame) -> None:
        """Adds the rows `into` with `value` in the columns `names` (None: a gap)."""
        part = into.copy()
        for name in names:
            if name in self._gaps:
                cell = self._gaps[name] if value is None else value
                part[name] = pd.Series([cell] * len(part), index=part.index, dtype=object)
            else:
                part[name] = np.full(len(part), np.nan if value is None else value, dtype=np.float64)
        self._rows.append(part)
        self._columns += [names[0] if len(names) == 1 else SEVERAL] * len(part)
        self._values += [shown] * len(part)

    def put_numbers(self, name: str, values: np.ndarray[Any, Any], into: pd.DataFrame) -> None:
        """Adds a row for each of `values` in the column `name`, made from the rows `into` by turns."""
        self._rows.append(into.iloc[np.arange(len(values)) % len(into)].assign(**{name: values.astype(np.float64)}))
        self._columns += [name] * len(values)
        self._values += [repr(float(value)) for value in values]

    def probes(self) -> Probes:
        return Probes(pd.concat(self._rows, ignore_index=True), tuple(self._columns), tuple(self._values))


def _gap_of(cells: pd.Series[Any]) -> Any:
    """What stands for a gap in a column of text: the empty text where that occurs, else what pandas takes for one."""
    return "" if (cells == "").any() else np.nan


def _templates(rows: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Rows without gaps where there are such, so that a probe differs by what was put into it alone."""
    whole = rows.dropna(subset=list(columns))
    rows = whole if len(whole) else rows
    return rows.iloc[np.unique(np.linspace(0, len(rows) - 1, min(TEMPLATES, len(rows))).astype(int))]


def _numbers(cells: np.ndarray[Any, Any], special: np.ndarray[Any, Any] | None) -> np.ndarray[Any, Any]:
    known = np.unique(cells[np.isfinite(cells)])
    if not known.size:
        return np.array([0.0, 1.0])
    low, high = known[0], known[-1]
    reach = max(high - low, 1.0)
    beyond = [low - 1, low - 1000 * reach, high + 1, high + 1000 * reach, 0.0]
    steps = known[:: max(1, known.size // 20)] + 0.5
    middles = (known[1:] + known[:-1])[:: max(1, known.size // 20)] / 2
    wanted: Any = [] if special is None else special[:: max(1, special.size // (MOST_VALUES // 2))]
    return np.unique(np.concatenate([beyond, steps, middles, wanted]))[:MOST_VALUES]
