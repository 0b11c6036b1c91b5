"""The analysis as one self-contained HTML page: no script, no network, and every text of the file escaped."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files

from models.printable import escaped
from models.profile.analysis import Analysis, ColumnAnalysis, ProfileComparison
from models.profile.charts import column_chart, correlation_chart
from models.profile.findings import findings, strongest_pairs

MOST_CORRELATED = 60
_STRONGEST = 8
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def page(analysis: Analysis, name: str, against: str | None = None) -> str:
    """The whole document; `name` and `against` are how the two files are called in it."""
    css = (files("models.profile") / "page.css").read_text(encoding="utf-8")
    sections = [
        _heading(analysis, name, against),
        _findings(analysis),
        _associations(analysis),
        _columns(analysis),
        _correlation(analysis),
        "" if analysis.comparison is None else _drift(analysis.comparison, against or "the second file"),
        _aside(analysis),
        _footer(),
    ]
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escaped(_POLICY)}">\n'
        f"<title>{escaped(name)}: profile</title>\n<style>\n{css}</style>\n</head>\n<body>\n"
        + "\n".join(section for section in sections if section)
        + "\n</body>\n</html>\n"
    )


def _heading(analysis: Analysis, name: str, against: str | None) -> str:
    cells = analysis.rows * analysis.width
    tiles = [
        (f"{analysis.rows:,}", "rows"),
        (f"{analysis.width:,}", "columns" + (f", {len(analysis.aside)} set aside" if analysis.aside else "")),
        (f"{analysis.gap_cells:,}", f"gaps ({analysis.gap_cells / cells:.2%} of all cells)"),
        (f"{analysis.copies:,}", "rows that repeat an earlier one"),
    ]
    shown = "".join(f'<div class="tile"><b>{big}</b><span>{small}</span></div>' for big, small in tiles)
    beside = f", compared with {escaped(against)}" if against else ""
    label = f"The label is <b>{escaped(analysis.label)}</b>{beside}." if analysis.label else f"Without a label{beside}."
    return f'<header><h1>{escaped(name)}</h1><p class="soft">{label}</p></header>\n<div class="tiles">{shown}</div>' + (
        _balance(analysis) if analysis.label else ""
    )


def _balance(analysis: Analysis) -> str:
    shares = [rows / analysis.rows for rows in analysis.class_rows]
    bar = "".join(
        f'<i style="width:{share:.3%};background:var(--class-{number})"></i>' for number, share in enumerate(shares)
    )
    legend = "".join(
        f'<span><i style="background:var(--class-{number})"></i>{escaped(name)} '
        f'<span class="soft">{rows:,} ({share:.1%})</span></span>'
        for number, (name, rows, share) in enumerate(zip(analysis.classes, analysis.class_rows, shares, strict=True))
    )
    return f'<div class="panel"><div class="balance">{bar}</div><div class="legend">{legend}</div></div>'


def _findings(analysis: Analysis) -> str:
    found = findings(analysis)
    if not found:
        return ""
    listed = "".join(f"<li>{escaped(sentence)}</li>" for sentence in found)
    return f'<h2>What stands out</h2><div class="panel"><ul class="findings">{listed}</ul></div>'


def _associations(analysis: Analysis) -> str:
    if analysis.label is None or not analysis.columns:
        return ""
    rows = [
        f'<tr><td class="name"><a href="#column-{number}">{escaped(column.name)}</a></td>'
        f'<td class="bar"><i style="width:{column.association or 0:.1%}"></i></td>'
        f'<td class="number">{column.association or 0:.2f}</td></tr>'
        for number, column in enumerate(analysis.columns)
    ]
    return (
        f"<h2>How much each column says of {escaped(analysis.label)}</h2>"
        f'<div class="panel"><table>{"".join(rows)}</table>'
        f'<p class="soft">Cramér’s V, numbers in tenths: 0 says nothing, 1 gives the label away. It sees any shape, '
        f"each column by itself.</p></div>"
    )


def _columns(analysis: Analysis) -> str:
    cards = "".join(_card(number, column) for number, column in enumerate(analysis.columns))
    said = "rows by class, and the classes’ shares" if analysis.label else "rows"
    said = f"Each bar: {said}. A long tail is gathered in the outer bar."
    return f'<h2>Columns</h2><p class="soft">{said}</p><div class="cards">{cards}</div>' if cards else ""


def _card(number: int, column: ColumnAnalysis) -> str:
    told = [pair for pair in column.summary if column.kind == "number" or pair[0] == "mean"]
    facts = [f"{name} {_figure(value)}" for name, value in told]
    if column.kind == "text":
        facts.append(f"{column.distinct:,} values")
    if column.gaps:
        facts.append(f"{column.gaps:,} gaps")
    if column.unreadable:
        facts.append(f"{column.unreadable:,} cells are no number")
    strength = f"V {column.association:.2f}" if column.association is not None else ""
    return (
        f'<section class="card" id="column-{number}">'
        f"<header><h3>{escaped(column.name)}</h3><span>{strength}</span></header>"
        f'{column_chart(column)}<p class="facts">{escaped(" · ".join(facts))}</p></section>'
    )


def _matrix(analysis: Analysis) -> str:
    size = len(analysis.correlated)
    width = f"min-width:{min(44, 16 + 2 * size)}rem;max-width:{18 + 2 * size}rem"
    return f'<div class="panel scroll"><div style="{width}">{correlation_chart(analysis)}</div></div>'


def _figure(value: float) -> str:
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.2f}".rstrip("0").rstrip(".") if abs(value) >= 0.1 or not value else f"{value:.3g}"


def _correlation(analysis: Analysis) -> str:
    names = analysis.correlated
    if len(names) < 2:
        return ""
    rows = "".join(
        f'<tr><td class="name">{escaped(names[a])} · {escaped(names[b])}</td>'
        f'<td class="bar"><i class="{"rise" if r > 0 else "fall"}" style="width:{abs(r):.1%}"></i></td>'
        f'<td class="number">{r:+.2f}</td></tr>'
        for a, b, r in strongest_pairs(analysis)[:_STRONGEST]
    )
    shown = (
        f'<h2>Columns that go together</h2><div class="panel"><table>{rows}</table>'
        f'<p class="soft">The strongest Pearson correlations, over rows without gaps. '
        f'<span class="key" style="background:var(--rise)"></span>rise together, '
        f'<span class="key" style="background:var(--fall)"></span>one falls as the other rises.</p></div>'
    )
    if len(names) <= MOST_CORRELATED:
        shown += f"<h2>All correlations</h2>{_matrix(analysis)}"
    return shown


def _drift(comparison: ProfileComparison, against: str) -> str:
    rows = "".join(
        f'<tr><td class="name">{escaped(drift.name)}</td><td class="number">{drift.psi:.3f}</td>'
        f'<td class="number wide">{drift.by_chance:.3f}</td><td class="number">{drift.jensen_shannon:.3f}</td>'
        f'<td class="{drift.grade}">{drift.grade}</td><td class="wide soft">{escaped(drift.most_moved)}</td></tr>'
        for drift in comparison.drifts
    )
    return (
        f'<h2>Drift: {escaped(against)} ({comparison.rows:,} rows)</h2><div class="panel"><table>'
        f'<tr><th>column</th><th class="number">PSI</th><th class="number wide">by chance</th>'
        f'<th class="number">JS</th><th>verdict</th><th class="wide">what moved most</th></tr>{rows}</table>'
        f'<p class="soft">PSI: below 0.1 stable, to 0.25 moderate, above major, and never more than stable where two '
        f"samples of one distribution would reach it too (by chance: 95 % stay below). JS: the Jensen-Shannon "
        f"distance, 0 to 1, notable above 0.1. Numbers in tenths of the first file, gaps in a bin apart.</p></div>"
    )


def _aside(analysis: Analysis) -> str:
    rows = "".join(
        f'<tr><td class="name">{escaped(column.name)}</td><td>{escaped(column.reason)}</td></tr>'
        for column in analysis.aside
    )
    return f'<h2>Set aside</h2><div class="panel"><table>{rows}</table></div>' if rows else ""


def _footer() -> str:
    return "<footer>" + "".join(f"<p>{line}</p>" for line in _sources()) + "</footer>"


def _sources() -> Iterable[str]:
    yield "Cramér’s V, corrected for chance: W. Bergsma (Journal of the Korean Statistical Society 42, 2013)."
    yield (
        "PSI and its thresholds: N. Siddiqi, Credit Risk Scorecards, 2006; its level by chance: B. Yurdakul and "
        "J. Naranjo (Journal of Risk Model Validation 14, 2020). Jensen-Shannon: J. Lin (IEEE Transactions on "
        "Information Theory 37, 1991)."
    )
