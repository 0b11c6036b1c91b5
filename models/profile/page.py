"""The analysis as one self-contained HTML page: no script, no network, and every text of the file escaped."""

from __future__ import annotations

from pathlib import Path

from edge.html.template import template
from models.profile.analysis import Analysis, ColumnAnalysis
from models.profile.findings import findings, strongest_pairs
from models.profile.histogram import histogram

PAGE = Path(__file__).with_name("page.html")
MOST_CORRELATED = 60
_STRONGEST = 8


def page(analysis: Analysis, name: str, against: str | None = None) -> str:
    """The whole document; `name` and `against` are how the two files are called in it."""
    return template(PAGE).render(
        a=analysis,
        name=name,
        against=against,
        gaps=f"{analysis.gap_cells / (analysis.rows * analysis.width):.2%}",
        findings=findings(analysis),
        facts=_facts,
        values=_values,
        histogram=histogram,
        pairs=strongest_pairs(analysis)[:_STRONGEST],
        matrix=2 <= len(analysis.correlated) <= MOST_CORRELATED,
    )


def _values(column: ColumnAnalysis) -> list[tuple[str, list[int]]]:
    """The values that rows have, and how many rows of each class."""
    named = zip(column.bins.names, column.counts.tolist(), strict=True)
    return [(name, counts) for name, counts in named if any(counts)]


def _facts(column: ColumnAnalysis) -> str:
    told = [pair for pair in column.summary if column.kind == "number" or pair[0] == "mean"]
    facts = [f"{name} {_figure(value)}" for name, value in told]
    if column.kind == "text":
        facts.append(f"{column.distinct:,} values")
    if column.gaps:
        facts.append(f"{column.gaps:,} gaps")
    if column.unreadable:
        facts.append(f"{column.unreadable:,} cells are no number")
    return " · ".join(facts)


def _figure(value: float) -> str:
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.2f}".rstrip("0").rstrip(".") if abs(value) >= 0.1 or not value else f"{value:.3g}"
