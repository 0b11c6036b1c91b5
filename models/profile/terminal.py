"""The analysis as a short summary for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from models.printable import printable
from models.profile.analysis import Analysis, ProfileComparison
from models.profile.bins import OTHER
from models.profile.findings import findings

_GRADES = {"stable": "green", "moderate": "yellow", "major": "bold red"}
_BAR = 10
_NAME = 28
_LEAST_DRIFTS = 5


def summary(analysis: Analysis, name: str) -> Iterator[RenderableType]:
    """What to print, one after the other. Texts of the file are never read as markup."""
    yield Text.assemble(
        (name, "bold"), f": {analysis.rows:,} rows, {analysis.width:,} columns, {analysis.gap_cells:,} gaps"
    )
    if analysis.label is not None:
        balance = ", ".join(
            f"{name} {rows / analysis.rows:.1%}"
            for name, rows in zip(analysis.classes, analysis.class_rows, strict=True)
        )
        yield printable(f"{analysis.label}: {balance}")
    for column in analysis.aside:
        yield printable(f"set aside: {column.name} ({column.reason})", "dim")
    yield ""
    yield _columns(analysis)
    if analysis.comparison:
        yield ""
        yield from _drift(analysis.comparison)
    found = findings(analysis)
    yield ""
    if found:
        yield Text("what stands out", "bold")
    for sentence in found:
        yield printable(f"  • {sentence}")


def _columns(analysis: Analysis) -> Table:
    table = Table(box=None, pad_edge=False, expand=True)
    table.add_column("column", overflow="ellipsis", no_wrap=True, max_width=_NAME)
    for heading in ("gaps", "values"):
        table.add_column(heading, justify="right", no_wrap=True, min_width=len(heading))
    if analysis.label is not None:
        table.add_column("label (V)", no_wrap=True, min_width=5 + _BAR)
    table.add_column("min … median … max", overflow="ellipsis", no_wrap=True, ratio=1)
    for column in analysis.columns:
        facts = dict(column.summary)
        middle = [f"{facts[name]:,g}" for name in ("min", "median", "max")] if facts else []
        spread = " … ".join(middle) or ", ".join(name for name in column.bins.names[:3] if name != OTHER)
        strength = column.association
        bar = [] if strength is None else [Text(f"{strength:.2f} ").append("━" * round(strength * _BAR), "blue")]
        gaps = f"{column.gaps:,}" if column.gaps else ""
        table.add_row(printable(column.name), gaps, f"{column.distinct:,}", *bar, printable(spread))
    return table


def _drift(comparison: ProfileComparison) -> Iterator[RenderableType]:
    shown = [drift for at, drift in enumerate(comparison.drifts) if at < _LEAST_DRIFTS or drift.grade != "stable"]
    table = Table(box=None, pad_edge=False, expand=True)
    table.add_column("drift", overflow="ellipsis", no_wrap=True, max_width=_NAME)
    for heading in ("PSI", "by chance", "JS"):
        table.add_column(heading, justify="right", no_wrap=True, min_width=len(heading))
    table.add_column("verdict", no_wrap=True, min_width=8)
    table.add_column("what moved most", overflow="ellipsis", no_wrap=True, ratio=1)
    for drift in shown:
        figures = (f"{figure:.3f}" for figure in (drift.psi, drift.by_chance, drift.jensen_shannon))
        table.add_row(
            printable(drift.name), *figures, Text(drift.grade, _GRADES[drift.grade]), printable(drift.most_moved)
        )
    yield table
    if len(shown) < len(comparison.drifts):
        yield Text(f"… and {len(comparison.drifts) - len(shown)} more columns, all stable", "dim")
