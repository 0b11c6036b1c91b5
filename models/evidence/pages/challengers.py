"""All challengers of production in one table and one picture."""

from __future__ import annotations

from models.evidence.figures.measures import wording
from models.evidence.figures.sequence import ERROR
from models.evidence.figures.summary import ChallengerFigures, Summary
from models.evidence.figures.verdict import Kind
from models.evidence.pages import words
from models.evidence.pages.picture import Picture, PictureTable
from models.html.chart import Plot, ticks

HEAD = ("alias", "version", "labelled rows", "difference", "verdict", "at every look between", "best evidence")


def rows(summary: Summary) -> list[tuple[str, ...]]:
    """A row of HEAD for each; none where there is one challenger alone."""
    return [_row(summary, each) for each in summary.challengers]


def says(summary: Summary) -> str:
    """What the figures hold for."""
    evidence = summary.evidence
    count = len(evidence.guards)
    guards = f", with {'a guard' if count == 1 else f'{count} guards'} each," if count else ""
    sharing = round(ERROR / evidence.error / (1 + count))  # those without a record yet among them
    return (
        f"{sharing} challengers{guards} share the error of 5 %: for each {words.percent(evidence.error)}, so that"
        f" {words.evidence(evidence.threshold)} decides and all bounds hold together, at every look"
        f"{wording.asymptotic(evidence.measure)}."
    )


def picture(summary: Summary) -> Picture | None:
    """Each challenger's difference to production, with its bounds."""
    shown = [each for each in summary.challengers if each.rows]
    if not shown:
        return None
    by, margin = summary.evidence.measure, summary.evidence.margin
    scale = 100 if by.shares else 1
    differences = [scale * (each.difference or 0.0) for each in shown]
    reach = max(3 * scale * margin, *(2.2 * abs(each) for each in differences))
    ends = [(scale * (each.low or 0.0), scale * (each.high or 0.0)) for each in shown]
    reach = max(reach, *(1.1 * abs(end) for pair in ends for end in pair if abs(end) < 3 * reach))
    plot = Plot((-reach, reach), (len(shown) - 0.5, -0.5), height=72 + 26 * len(shown), left=120.0, top=26)
    marks = ticks(-reach, reach, 4)
    better = "staging less production" if not by.lower_is_better else "production less staging"
    plot.x_axis(marks, [f"{mark:+g}" if mark else "0" for mark in marks], f"{better}{', points' if by.shares else ''}")
    for edge in (-margin, margin):
        plot.rule(scale * edge, vertical=True, style="rule dashed")
    plot.rule(0, vertical=True, style="rule strong")
    for at, (each, value, (low, high)) in enumerate(zip(shown, differences, ends, strict=True)):
        name = f"{each.alias}, version {each.version}"
        plot.span((low, high), (at, at), "staging")
        plot.point(value, at, "staging", f"{name}: {wording.difference(by, each.difference or 0.0)}, {each.verdict}")
        plot.label(plot.left - 6, plot.y(at) + 4, f"{each.alias} ({each.version})", "end")
    title = f"Challengers by {by.title}"
    said = f"On the right of the line a challenger is ahead of production. {says(summary)}"
    table = PictureTable(HEAD, tuple(_row(summary, each) for each in shown))
    return Picture("challengers", title, said, plot.svg(title, said), table, ())


def _row(summary: Summary, each: ChallengerFigures) -> tuple[str, ...]:
    by = summary.evidence.measure
    verdict = "; ".join((each.verdict.replace(Kind.STAGING, "better than production", 1), *each.doubts))
    if each.difference is None or each.low is None or each.high is None or not each.rows:
        return each.alias, each.version, "0", words.NONE, verdict, words.NONE, words.NONE
    return (
        each.alias,
        each.version,
        f"{each.rows:,}",
        f"{wording.difference(by, each.difference)}{' points' if by.shares else ''}",
        verdict,
        wording.interval(by, each.low, each.high),
        words.evidence(max(each.log_e_staging, each.log_e_production)),
    )
