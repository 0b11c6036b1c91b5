"""The report's pictures along the time: the evidence, the difference with its bounds, both models' answers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from models.evidence.figures.drift import PSI_MAJOR, PSI_MODERATE
from models.evidence.figures.measures import wording
from models.evidence.figures.summary import Look, Summary
from models.evidence.figures.verdict import Kind
from models.evidence.pages import words
from models.evidence.pages.picture import Picture, PictureTable
from models.html.chart import WIDTH, Plot, ticks

MOST_POINTS = 240
MOST_TABLE_ROWS = 40
_LN10 = 2.302585092994046


def evidence(summary: Summary) -> Picture | None:
    """Both e-values after each file, against what decides."""
    looks = _labelled(summary)
    if not looks:
        return None
    threshold = summary.evidence.threshold / _LN10
    sides = {
        "production": [look.log_e_production / _LN10 for look in looks],
        "staging": [look.log_e_staging / _LN10 for look in looks],
    }
    highest = max(max(values) for values in sides.values())
    top = min(6.0, max(threshold + 0.6, highest + 0.3))
    xs, at, labels, title = _times(looks)
    plot = Plot((xs[0], xs[-1]), (-2.0, top))
    marks = [value for value in (-2, -1, 0, 1, 2, 3, 4, 5, 6) if value <= top and (top < 4 or value % 2 == 0)]
    plot.y_axis(marks, [words.evidence(value * _LN10) for value in marks])
    plot.x_axis(at, labels, title)
    if highest > top:
        plot.label(WIDTH - plot.right, plot.top + 15, f"drawn up to {words.evidence(top * _LN10)}", "end", "note")
    plot.rule(threshold, f"{words.evidence(summary.evidence.threshold)} decides", style="rule strong")
    for side, values in sides.items():
        plot.line(xs, values, side)
        plot.point(xs[-1], values[-1], side, f"{side} is better: {words.evidence(values[-1] * _LN10)}")
    says = _evidence_says(summary)
    rows = tuple(
        (
            words.moment(look.event_time),
            f"{look.rows:,}",
            words.evidence(look.log_e_production),
            words.evidence(look.log_e_staging),
        )
        for look in _thinned(looks, MOST_TABLE_ROWS)
    )
    table = PictureTable(("until (UTC)", "labelled rows", "for production", "for staging"), rows)
    keys = (("production", "production is better"), ("staging", "staging is better"))
    return Picture("evidence", "Evidence over time", says, plot.svg("Evidence over time", says), table, keys)


def _evidence_says(summary: Summary) -> str:
    evidence, by = summary.evidence, summary.evidence.measure
    better = "is better" if by.name == "accuracy" else f"is better by {by.title}"
    says = f"What a stake of 1 has become by betting that one model {better}{wording.asymptotic(by)}. "
    verdict = evidence.verdict
    if verdict.look is not None and verdict.kind is not Kind.NO_DIFFERENCE:
        return f"{says}It decided after {evidence.looks[verdict.look].rows:,} labelled rows."
    return f"{says}{words.evidence(evidence.threshold)} decides, however often one looks."


def difference(summary: Summary) -> Picture | None:
    """By how much staging is better by the measure, with its confidence sequence."""
    looks = _labelled(summary)
    if not looks:
        return None
    by, last, margin = summary.evidence.measure, looks[-1], summary.evidence.margin
    scale = 100 if by.shares else 1
    bounds = [abs(each) for each in (last.low, last.high) if by.shares or abs(each) < 20 * abs(last.difference)]
    reach = scale * max(3 * margin, 2 * abs(last.difference), *(2.2 * each for each in bounds))
    reach = min(100.0, reach) if by.shares else reach
    xs, at, labels, title = _times(looks)
    plot = Plot((xs[0], xs[-1]), (-reach, reach))
    marks = ticks(-reach, reach, 5)
    plot.y_axis(marks, [f"{mark:+g}" if mark else "0" for mark in marks])
    plot.x_axis(at, labels, title)
    plot.band(xs, [scale * look.low for look in looks], [scale * look.high for look in looks], "staging")
    plot.rule(scale * margin, style="rule dashed")
    plot.rule(-scale * margin, f"margin ±{scale * margin:g}", style="rule dashed", below=True)
    plot.rule(0, style="rule strong")
    plot.line(xs, [scale * look.difference for look in looks], "staging")
    now, low, high = (wording.difference(by, each) for each in (last.difference, last.low, last.high))
    plot.point(xs[-1], scale * last.difference, "staging", f"{now} points" if by.shares else now)
    what = f"{by.title} less production's, in points" if by.shares else f"{by.title} against production's"
    says = (
        f"Staging's {what}: {now}, and at every look between "
        f"{low} and {high}{wording.asymptotic(by)}. Above nought staging is ahead."
    )
    rows = tuple(
        (f"{look.rows:,}", *(wording.difference(by, each) for each in (look.difference, look.low, look.high)))
        for look in _thinned(looks, MOST_TABLE_ROWS)
    )
    head = f"difference{', points' if by.shares else ''}"
    table = PictureTable(("labelled rows", head, "from", "to"), rows)
    key = "production less staging" if by.lower_is_better else "staging less production"
    keys = (("staging", f"{key}, with its bounds{wording.asymptotic(by)}"),)
    title = f"Difference in {by.title}"
    return Picture("difference", title, says, plot.svg(title, says), table, keys)


def outputs(summary: Summary) -> Picture | None:
    """What both models answered over time."""
    periods = [period for period in summary.periods if period.rows]
    if len(periods) < 2:
        return None
    shares = [share for each in periods for share in (each.production_share, each.staging_share)]
    low, high = max(0.0, min(shares) - 0.05), min(1.0, max(shares) + 0.05)
    plot = Plot((0.0, len(periods) - 1.0), (low, high))
    marks = ticks(low, high, 4)
    plot.y_axis(marks, [f"{mark:.0%}" for mark in marks])
    ends = (periods[0].first, periods[-1].last)
    plot.x_axis([0, len(periods) - 1], [words.moment(end) for end in ends], "files in order of time")
    xs = [float(at) for at in range(len(periods))]
    plot.line(xs, [each.production_share for each in periods], "production")
    plot.line(xs, [each.staging_share for each in periods], "staging")
    moved = max(max(each.production_psi, each.staging_psi) for each in periods)
    says = (
        f"Share of rows that each model calls {summary.positive}. The scores of any stretch of files differ from "
        f"those of the first by a PSI of at most {moved:.2f}; chance alone gives up to "
        f"{max(each.psi_by_chance for each in periods):.2f}, {PSI_MODERATE:g} is moderate, {PSI_MAJOR:g} major."
    )
    rows = tuple(
        (
            words.moment(each.last),
            f"{each.rows:,}",
            words.percent(each.production_share),
            words.percent(each.staging_share),
            f"{each.production_psi:.3f}",
            f"{each.staging_psi:.3f}",
        )
        for each in periods
    )
    head = ("until (UTC)", "rows", "production", "staging", "PSI, production", "PSI, staging")
    return Picture("outputs", "Answers over time", says, plot.svg("Answers over time", says), PictureTable(head, rows))


def _labelled(summary: Summary) -> list[Look]:
    return _thinned([look for look in summary.evidence.looks if look.rows], MOST_POINTS)


def _thinned(looks: Sequence[Look], most: int) -> list[Look]:
    """At most `most` looks, evenly spread, the first and the last among them."""
    if len(looks) <= most:
        return list(looks)
    return [looks[round(at * (len(looks) - 1) / (most - 1))] for at in range(most)]


def _times(looks: Sequence[Look]) -> tuple[list[float], list[float], list[str], str]:
    """Where the looks lie along the time, or along the rows where there is none: places, ticks, labels, title."""
    at = [look.event_time.timestamp() if look.event_time else 0.0 for look in looks]
    if at[-1] <= at[0]:
        rows = [float(look.rows) for look in looks]
        marks = ticks(rows[0], rows[-1], 4)
        return rows, marks, [f"{mark:,.0f}" for mark in marks], "labelled rows"
    span = at[-1] - at[0]
    form = (
        "%H:%M:%S" if span < 600 else "%H:%M" if span < 86_400 else "%d %b %H:%M" if span < 4 * 86_400 else "%d %b %Y"
    )
    # Three labels are as many as a phone has room for.
    marks = [at[0], at[0] + span / 2, at[-1]]
    day = datetime.fromtimestamp(at[0], UTC).strftime("%d %B %Y, ") if span < 86_400 else ""
    return at, marks, [datetime.fromtimestamp(mark, UTC).strftime(form) for mark in marks], f"{day}UTC"
