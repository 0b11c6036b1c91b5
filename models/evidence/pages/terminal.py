"""The summary as tables for a terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from models.evidence.figures.clusters import Slice
from models.evidence.figures.measures import wording
from models.evidence.figures.summary import Summary
from models.evidence.figures.verdict import Kind
from models.evidence.figures.without_labels import WithoutLabels
from models.evidence.pages import challengers, words
from models.printable import printable

STYLES = {
    Kind.STAGING: "bold green",
    Kind.PRODUCTION: "bold red",
    Kind.NO_DIFFERENCE: "bold cyan",
    Kind.NOT_YET: "bold",
    Kind.GUARD: "bold red",
}


def render(summary: Summary) -> RenderableType:
    """What `python -m models compare` prints: the verdict first, then the figures that it rests on."""
    doubt = words.doubt(summary)
    parts: list[RenderableType] = [
        Text(f"{summary.staging} (staging) against {summary.production} (production)"),
        *([Text(doubt, style="bold yellow")] if doubt else []),
        printable(summary.evidence.sentence, "bold" if doubt else STYLES[summary.evidence.verdict.kind]),
        Text(words.scope(summary), style="dim"),
        *(printable(note, "yellow") for note in summary.notes),
        _evidence(summary),
    ]
    if summary.challengers:
        parts += [_challengers(summary), Text(challengers.says(summary), style="dim")]
    if summary.evidence.guards:
        parts.append(_guards(summary))
    if summary.measures:
        parts.append(_measures(summary))
    if summary.without_labels is not None:
        parts += [
            _without_labels(summary.without_labels),
            Text(words.basis_of_estimate(summary)),
            Text(words.ESTIMATED),
        ]
    parts += [_agreement(summary), _costs(summary)]
    drifted = [column for column in summary.drift if column.grade != "stable"]
    if summary.drift:
        parts.append(_drift(summary) if drifted else Text("No input column has drifted from the training data."))
    if summary.unknown:
        parts.append(_unknown(summary))
    if summary.slices_tested:
        parts.append(_slices(summary))
    return Group(*parts)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for at, column in enumerate(columns):
        table.add_column(printable(column), justify="right" if at else "left")
    return table


def _evidence(summary: Summary) -> Table:
    evidence = summary.evidence
    by = evidence.measure
    table = _table("Evidence, valid at every look", "", f"by {evidence.unit}{wording.asymptotic(by)}")
    if evidence.looks:
        last = evidence.looks[-1]
        table.add_row("staging is better", words.evidence(last.log_e_staging))
        table.add_row("production is better", words.evidence(last.log_e_production))
        table.add_row("it takes", words.evidence(evidence.threshold))
        table.add_row(f"difference{', points' if by.shares else ''}", wording.difference(by, last.difference))
        between = f"{wording.difference(by, last.low)} and {wording.difference(by, last.high)}"
        table.add_row("  at every look between", between)
    if evidence.overdispersion is not None:
        table.add_row("overdispersion between files", f"{evidence.overdispersion:.2f}")
    if summary.mcnemar is not None:
        table.add_row("McNemar's exact p (one look only)", f"{summary.mcnemar:.3g}")
    return table


def _challengers(summary: Summary) -> Table:
    table = _table("All challengers", *challengers.HEAD)
    for cells in challengers.rows(summary):
        table.add_row(*map(printable, cells))
    return table


def _guards(summary: Summary) -> Table:
    table = _table("Guards", *words.GUARD_HEAD)
    for cells in words.guards(summary):
        table.add_row(*map(printable, cells))
    return table


def _measures(summary: Summary) -> Table:
    title = f"Labelled rows (intervals of {words.INTERVAL} for one look)"
    table = _table(title, "", "production", "staging", "difference", "interval")
    for cells in words.judged_by(summary):
        table.add_row(*map(printable, cells))
    for name, measure in summary.measures.items():
        shares = name in words.PERCENT
        table.add_row(
            words.MEASURES[name],
            words.figure(measure.production, shares=shares),
            words.figure(measure.staging, shares=shares),
            words.figure(measure.difference, signed=True, shares=shares),
            words.bounds(measure.difference, signed=True, shares=shares),
        )
    return table


def _without_labels(found: WithoutLabels) -> Table:
    table = _table("Rows without a label: estimated accuracy", "", "estimate", "interval")
    for name, estimate in (("production", found.production), ("staging", found.staging)):
        table.add_row(name, words.figure(estimate, shares=True), words.bounds(estimate, shares=True))
    return table


def _agreement(summary: Summary) -> RenderableType:
    table = _table("Agreement, rows", "production \\ staging", *summary.classes)
    for label, row in zip(summary.classes, summary.agreement_table, strict=True):
        table.add_row(printable(label), *(f"{count:,}" for count in row))
    if summary.agreement is not None:
        shared = f"{words.percent(summary.agreement.value)} ({words.bounds(summary.agreement, shares=True)})"
        kappa = words.NONE if summary.kappa is None else f"{summary.kappa:.4f}"
        return Group(table, Text(f"agreement {shared}, Cohen's kappa {kappa}"))
    return table


def _costs(summary: Summary) -> Table:
    table = _table("Cost", "", "per row", "per file", "memory", "artifact")
    for name, cost in (("production", summary.production_cost), ("staging", summary.staging_cost)):
        table.add_row(
            name,
            words.duration(cost.seconds_per_row),
            words.duration(cost.seconds_per_file),
            words.size(cost.memory_bytes),
            words.size(cost.artifact_bytes),
        )
    return table


def _drift(summary: Summary) -> Table:
    table = _table("Drift of the inputs from the training data", "column", "PSI", "Jensen-Shannon", "")
    for column in sorted(summary.drift, key=lambda each: -each.psi):
        if column.grade != "stable":
            table.add_row(printable(column.column), f"{column.psi:.3f}", f"{column.jensen_shannon:.3f}", column.grade)
    return table


def _unknown(summary: Summary) -> Table:
    table = _table("Texts never shown, rows", "column", "production", "staging")
    for each in summary.unknown:
        table.add_row(printable(each.column), words.count(each.production), words.count(each.staging))
    return table


def _slices(summary: Summary) -> RenderableType:
    found = (*summary.slices_worst, *summary.slices_best)
    if not found:
        return Text(f"None of {summary.slices_tested} slices stands out (false discovery rate 5 %).")
    title = f"Slices that stand out among {summary.slices_tested} (false discovery rate 5 %)"
    table = _table(title, "slice", "rows", "difference", "q")
    for each in sorted(found, key=lambda of: of.difference):
        table.add_row(*_slice(each))
    return table


def _slice(each: Slice) -> tuple[Text | str, ...]:
    return printable(f"{each.column} = {each.level}"), f"{each.rows:,}", words.points(each.difference), f"{each.q:.2g}"
