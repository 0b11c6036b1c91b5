"""The analysis of a table, as plain numbers: what the page and the terminal show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.evidence.figures.drift import grade, jensen_shannon, psi, psi_by_chance
from models.profile.association import correlations, cramers_v
from models.profile.bins import Bins, coarse_bins, fine_bins
from models.profile.kinds import Cells, Kind, SetAside, recognise
from models.profile.table import UnreadableTable

MOST_CLASSES = 8
NO_LABEL = "(no label)"


@dataclass(frozen=True)
class ColumnAnalysis:
    """One column: `counts` [bins of `bins`, classes]; `association` with the label, None without one."""

    name: str
    kind: Kind
    gaps: int
    unreadable: int
    distinct: int
    bins: Bins
    counts: NDArray[np.int64]
    summary: tuple[tuple[str, float], ...]
    association: float | None


@dataclass(frozen=True)
class Drift:
    """One column in both files; `by_chance` is what equal distributions would stay below in 95 cases of 100."""

    name: str
    psi: float
    by_chance: float
    jensen_shannon: float
    most_moved: str

    @property
    def grade(self) -> str:
        """`stable`, `moderate` or `major`."""
        return grade(self.psi, self.by_chance)


@dataclass(frozen=True)
class ProfileComparison:
    """A second file beside the first: drift per common column, and the columns that only one of them has."""

    rows: int
    drifts: tuple[Drift, ...]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]


@dataclass(frozen=True)
class Analysis:
    """A whole table; `classes` with `class_rows` are the label's, one class "rows" where there is no label."""

    rows: int
    width: int
    label: str | None
    classes: tuple[str, ...]
    class_rows: tuple[int, ...]
    columns: tuple[ColumnAnalysis, ...]
    aside: tuple[SetAside, ...]
    gap_cells: int
    copies: int
    correlated: tuple[str, ...]
    correlation: NDArray[np.float64]
    comparison: ProfileComparison | None = None


def analyse(table: pd.DataFrame, label: str | None, second: pd.DataFrame | None = None) -> Analysis:
    """Everything that is shown of `table` (text cells, NaN for gaps). Raises UnreadableTable for an unfit label."""
    classes, codes = _classes(table, label)
    recognised = [recognise(name, table[name]) for name in table.columns if name != label]
    used = [column for column in recognised if isinstance(column, Cells)]
    features = [column.name for column in used]
    columns = [_column(cells, codes, len(classes), labelled=label is not None) for cells in used]
    if label is not None:
        columns.sort(key=lambda column: -(column.association or 0.0))
    labels = [recognise(label, table[label])] if label is not None and len(classes) == 2 else []
    names, matrix = correlations([*used, *(cells for cells in labels if isinstance(cells, Cells))])
    return Analysis(
        rows=len(table),
        width=len(table.columns),
        label=label,
        classes=classes,
        class_rows=tuple(int(count) for count in np.bincount(codes, minlength=len(classes))),
        columns=tuple(columns),
        aside=tuple(column for column in recognised if isinstance(column, SetAside)),
        gap_cells=int(table.isna().to_numpy().sum()),
        copies=int(table.duplicated(subset=[*features, *([label] if label else [])]).sum()) if features else 0,
        correlated=tuple(names),
        correlation=matrix,
        comparison=None if second is None else _compare(table, second, used, label),
    )


def _classes(table: pd.DataFrame, label: str | None) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    if label is None:
        return ("rows",), np.zeros(len(table), dtype=np.int64)
    if label not in table.columns:
        raise UnreadableTable(
            f"there is no column {label!r} (there are: {', '.join(map(repr, table.columns))}); name the label with "
            f"--label, or give --label '' where there is none"
        )
    cells = table[label]
    classes = sorted(str(text) for text in cells.dropna().unique())
    if len(classes) > MOST_CLASSES:
        raise UnreadableTable(
            f"the label {label!r} has {len(classes):,} different values, and at most {MOST_CLASSES} can be told apart: "
            f"name a column of classes with --label"
        )
    codes = cells.map({name: at for at, name in enumerate(classes)})
    if cells.isna().any():
        classes.append(NO_LABEL)
    return tuple(classes), np.asarray(codes.fillna(len(classes) - 1), dtype=np.int64)


def _column(cells: Cells, codes: NDArray[np.int64], classes: int, *, labelled: bool) -> ColumnAnalysis:
    fine, coarse = fine_bins(cells), coarse_bins(cells)
    return ColumnAnalysis(
        name=cells.name,
        kind=cells.kind,
        gaps=cells.gaps,
        unreadable=cells.unreadable,
        distinct=int(cells.texts.nunique()),
        bins=fine,
        counts=_count(fine, cells, codes, classes),
        summary=_summary(cells),
        association=cramers_v(_count(coarse, cells, codes, classes)) if labelled else None,
    )


def _count(bins: Bins, cells: Cells, codes: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    size = len(bins.names)
    counted = np.bincount(bins.place(cells) * classes + codes, minlength=size * classes)
    return np.asarray(counted.reshape(size, classes), dtype=np.int64)


def _summary(cells: Cells) -> tuple[tuple[str, float], ...]:
    if cells.numbers is None:
        return ()
    present = cells.numbers[~np.isnan(cells.numbers)]
    quartiles = np.quantile(present, (0, 0.25, 0.5, 0.75, 1))
    names = ("min", "25 %", "median", "75 %", "max")
    return (*((name, float(q)) for name, q in zip(names, quartiles, strict=True)), ("mean", float(present.mean())))


def _compare(first: pd.DataFrame, second: pd.DataFrame, used: Sequence[Cells], label: str | None) -> ProfileComparison:
    both = [cells for cells in used if cells.name in second.columns]
    if label is not None and label in second.columns:
        both.append(Cells(label, "text", first[label], None))
    drifts = [
        _drift(cells, Cells(cells.name, cells.kind, second[cells.name], _as_numbers(cells, second))) for cells in both
    ]
    return ProfileComparison(
        rows=len(second),
        drifts=tuple(sorted(drifts, key=lambda drift: -drift.psi)),
        only_first=tuple(name for name in first.columns if name not in second.columns),
        only_second=tuple(name for name in second.columns if name not in first.columns),
    )


def _as_numbers(like: Cells, second: pd.DataFrame) -> NDArray[np.float64] | None:
    if like.numbers is None:
        return None
    numbers = pd.to_numeric(second[like.name], errors="coerce").to_numpy(dtype=np.float64)
    return np.where(np.isinf(numbers), np.nan, numbers)


def _drift(first: Cells, second: Cells) -> Drift:
    bins = coarse_bins(first)
    expected, actual = (np.bincount(bins.place(cells), minlength=len(bins.names)) for cells in (first, second))
    present = (expected + actual) > 0
    # A bin that is empty on both sides says nothing, and its half counts would only blur the rest.
    e, a = expected[present], actual[present]
    moved = a / max(1, a.sum()) - e / max(1, e.sum())
    at = int(np.argmax(np.abs(moved)))
    name = [name for name, there in zip(bins.names, present, strict=True) if there][at]
    most = f"{name}: {e[at] / max(1, e.sum()):.1%} → {a[at] / max(1, a.sum()):.1%}" if moved[at] else ""
    return Drift(first.name, psi(e, a), psi_by_chance(e, a), jensen_shannon(e, a), most)
