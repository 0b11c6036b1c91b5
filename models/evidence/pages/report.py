"""The report as one HTML page that needs nothing else: no network, no script, light and dark, phone and desk."""

from __future__ import annotations

from pathlib import Path

from edge.html.template import template
from models.evidence.figures.measures import wording
from models.evidence.figures.statistics import Estimate
from models.evidence.figures.summary import Summary
from models.evidence.figures.verdict import Kind
from models.evidence.pages import challengers, reading, words
from models.evidence.pages.picture import PictureTable
from models.evidence.pages.pictures import pictures

PAGE = Path(__file__).with_name("report.html")
_STYLES = {Kind.STAGING: "staging", Kind.PRODUCTION: "production", Kind.NO_DIFFERENCE: "none", Kind.NOT_YET: "open"}
_STYLES[Kind.GUARD] = "production"


def render(summary: Summary) -> str:
    """The page's text, to be written as UTF-8."""
    verdict, _, rest = summary.evidence.sentence.partition(". ")
    step, command = next_step(summary)
    return template(PAGE).render(
        s=summary,
        verdict=verdict.rstrip("."),
        rest=rest,
        kind=tone(summary),
        next_step=step,
        command=command,
        tiles=_tiles(summary),
        measures=_measures(summary),
        pictures=pictures(summary),
        agreement=_agreement(summary),
        costs=_costs(summary),
        guards=_guards(summary),
        challengers=PictureTable(challengers.HEAD, tuple(challengers.rows(summary))),
        challengers_say=challengers.says(summary),
        reading=reading.says(summary),
        unknown=_unknown(summary),
        estimated=_estimated(summary),
        basis=words.basis_of_estimate(summary),
        estimated_says=words.ESTIMATED,
        doubt=words.doubt(summary),
        threshold=words.evidence(summary.evidence.threshold),
        scope=words.scope(summary),
    )


def tone(summary: Summary) -> str:
    """How a verdict is coloured: `staging`, `production`, `none`, or `open` where nothing may be concluded."""
    return "open" if summary.seen_before.doubts else _STYLES[summary.evidence.verdict.kind]


def next_step(summary: Summary) -> tuple[str, str]:
    """What to do by this verdict: a sentence, and a command where one does it."""
    kind = summary.evidence.verdict.kind
    if summary.seen_before.doubts and kind is not Kind.PRODUCTION:
        return "Production stays until there are rows that neither came before nor were learned from.", ""
    if kind is Kind.STAGING:
        return "To move production to it:", f"python -m models promote staging --if-better{words.options(summary)}"
    if kind is Kind.NO_DIFFERENCE and summary.cheaper:
        return (
            "Staging takes less time per row. To move production to it:",
            f"python -m models promote staging --no-worse{words.options(summary)}",
        )
    if kind is Kind.NOT_YET:
        return "Production stays. Look again as often as you like: looking does not wear the evidence out.", ""
    return "Production stays.", ""


def _tiles(summary: Summary) -> list[tuple[str, str, str]]:
    tiles = []
    evidence = summary.evidence
    if evidence.looks and evidence.looks[-1].rows:
        last = evidence.looks[-1]
        by, between = evidence.measure, (wording.difference(evidence.measure, each) for each in (last.low, last.high))
        unit = "points, " if by.shares else ""
        detail = f"{unit}{' to '.join(between)} at every look{wording.asymptotic(by)}"
        tiles.append((f"Difference in {by.title}", wording.difference(by, last.difference), detail))
        best = max(look.log_e_staging for look in evidence.looks)
        detail = f"at best so far; {words.evidence(evidence.threshold)} decides{wording.asymptotic(by)}"
        tiles.append(("Evidence for staging", words.evidence(best), detail))
    if summary.agreement is not None:
        kappa = "" if summary.kappa is None else f"kappa {summary.kappa:.3f}"
        tiles.append(("Agreement", words.percent(summary.agreement.value), kappa))
    rows = summary.rows
    tiles.append(("Rows", f"{rows['read']:,}", f"{rows['labelled']:,} labelled, {summary.files:,} files"))
    costs = summary.production_cost.seconds_per_row, summary.staging_cost.seconds_per_row
    tiles.append(("Time per row, staging", words.duration(costs[1]), f"production {words.duration(costs[0])}"))
    return tiles


def _measures(summary: Summary) -> list[tuple[str, str, str, str, str, tuple[str, str]]]:
    rows = [(*cells, ("", "")) for cells in words.judged_by(summary)]
    for name, measure in summary.measures.items():
        shares = name in words.PERCENT
        rows.append(
            (
                words.MEASURES[name],
                words.figure(measure.production, shares=shares),
                words.figure(measure.staging, shares=shares),
                words.figure(measure.difference, signed=True, shares=shares),
                words.bounds(measure.difference, signed=True, shares=shares),
                _who(measure.difference, name in words.LOWER_IS_BETTER),
            )
        )
    return rows


def _who(difference: Estimate, lower_is_better: bool) -> tuple[str, str]:
    if difference.low is None or difference.high is None or difference.low <= 0 <= difference.high:
        return "", ""
    return ("better", "staging better") if (difference.value < 0) == lower_is_better else ("worse", "production better")


def _agreement(summary: Summary) -> str:
    if summary.agreement is None:
        return "No row was scored by both."
    shared = f"{words.percent(summary.agreement.value)} of rows, {words.bounds(summary.agreement, shares=True)}"
    kappa = "" if summary.kappa is None or summary.kappa != summary.kappa else f"; Cohen's kappa {summary.kappa:.4f}"
    return f"Both models say the same on {shared}{kappa}."


def _guards(summary: Summary) -> PictureTable | None:
    return PictureTable(words.GUARD_HEAD, tuple(words.guards(summary))) if summary.evidence.guards else None


def _costs(summary: Summary) -> PictureTable:
    rows = tuple(
        (
            name,
            words.duration(cost.seconds_per_row),
            words.duration(cost.seconds_per_file),
            words.size(cost.memory_bytes),
            words.size(cost.artifact_bytes),
        )
        for name, cost in (("production", summary.production_cost), ("staging", summary.staging_cost))
    )
    return PictureTable(("", "per row", "per file", "memory", "artifact"), rows)


def _estimated(summary: Summary) -> PictureTable | None:
    found = summary.without_labels
    if found is None:
        return None
    rows = tuple(
        (name, words.figure(estimate, shares=True), words.bounds(estimate, shares=True))
        for name, estimate in (("production", found.production), ("staging", found.staging))
    )
    return PictureTable(("", "estimated accuracy", f"interval, {words.INTERVAL}"), rows)


def _unknown(summary: Summary) -> PictureTable | None:
    if not summary.unknown:
        return None
    rows = tuple((each.column, words.count(each.production), words.count(each.staging)) for each in summary.unknown)
    return PictureTable(("column", "production", "staging"), rows)
