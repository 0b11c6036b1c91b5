"""The report's pictures, each with its numbers as a table."""

from __future__ import annotations

from math import log10, sqrt

from models.evidence.figures.clusters import Slice
from models.evidence.figures.drift import PSI_MAJOR, PSI_MODERATE
from models.evidence.figures.summary import ColumnDrift, Summary
from models.evidence.pages import challengers, words
from models.evidence.pages.picture import Picture, PictureTable
from models.evidence.pages.timeline import difference, evidence, outputs
from models.html.chart import Plot, ticks

MOST_COLUMNS = 12
MOST_SLICES = 6
MOST_DRIFTED = 4
MOST_PSI = 0.6


def pictures(summary: Summary) -> tuple[Picture, ...]:
    """Every picture for which there are numbers, in the order of the page."""
    made = (challengers.picture, evidence, difference, reliability, probability_differences, outputs, drift)
    found = [picture for make in made if (picture := make(summary)) is not None]
    drifted = sorted((each for each in summary.drift if each.grade != "stable"), key=lambda each: -each.psi)
    found += [distribution(at, each) for at, each in enumerate(drifted[:MOST_DRIFTED], 1)]
    sliced = slice_differences(summary)
    return (*found, *([sliced] if sliced else []))


def reliability(summary: Summary) -> Picture | None:
    """How often a score came true, by its height."""
    if not any(summary.reliability):
        return None
    plot = Plot((0.0, 1.0), (0.0, 1.0), height=300)
    marks = [0.0, 0.25, 0.5, 0.75, 1.0]
    plot.y_axis(marks, [f"{mark:.0%}" for mark in marks])
    plot.x_axis(marks, [f"{mark:.0%}" for mark in marks], "said")
    plot.diagonal()
    rows = []
    for side, found in zip(("production", "staging"), summary.reliability, strict=True):
        plot.line([each.mean_score for each in found], [each.true.value for each in found], f"{side} thin")
        for each in found:
            ends = (each.true.low or 0.0, each.true.high or 0.0)
            plot.span((each.mean_score, each.mean_score), ends, side)
            said = f"{side}: said {words.percent(each.mean_score)}, true {words.percent(each.true.value)}"
            plot.point(each.mean_score, each.true.value, side, f"{said}, {each.rows:,} rows")
            rows.append(
                (
                    f"{side}, {each.low:.0%} to {each.high:.0%}",
                    f"{each.rows:,}",
                    words.percent(each.mean_score),
                    words.percent(each.true.value),
                    words.bounds(each.true, shares=True),
                )
            )
    score = f"probability of {summary.positive}" if len(summary.classes) == 2 else "probability of the predicted class"
    says = f"The {score}, and how often it came true. On the diagonal a model means what it says."
    table = PictureTable(("model, bin", "rows", "said", "came true", f"interval, {words.INTERVAL}"), tuple(rows))
    return Picture("reliability", "Reliability", says, plot.svg("Reliability", says), table)


def probability_differences(summary: Summary) -> Picture | None:
    """How far the two probabilities lie apart."""
    counts = summary.difference_histogram
    if not sum(counts) or summary.probability_difference is None:
        return None
    top = max(1.0, log10(max(counts)))
    plot = Plot((-1.0, 1.0), (0.0, top * 1.05))
    marks = list(range(int(top) + 1))
    plot.y_axis(marks, [f"{10**mark:,}" for mark in marks])
    plot.x_axis([-1, -0.5, 0, 0.5, 1], ["-1", "-0.5", "0", "+0.5", "+1"], "staging less production")
    rows, width = [], 2 / len(counts)
    for at, count in enumerate(counts):
        low, high = -1 + at * width, -1 + (at + 1) * width
        if count:
            name = f"{low:+.2f} to {high:+.2f}"
            # A single row would have no height on this scale.
            plot.bar((low + 0.004, high - 0.004), (0, max(log10(count), 0.08)), "staging", f"{name}: {count:,} rows")
            rows.append((name, f"{count:,}"))
    quantiles = summary.difference_quantiles
    says = (
        f"How much more probable staging holds the same class, row by row: on average "
        f"{summary.probability_difference.value:+.4f}, nine of ten rows from {quantiles['0.05']:+.3f} to "
        f"{quantiles['0.95']:+.3f}. Rows on a logarithmic scale."
    )
    title = "Probability differences"
    rows += [(f"quantile {level}", f"{value:+.3f}") for level, value in quantiles.items()]
    table = PictureTable(("difference", "rows"), tuple(rows))
    return Picture("differences", title, says, plot.svg(title, says), table, (("staging", "rows"),))


def drift(summary: Summary) -> Picture | None:
    """The input columns that lie farthest from the training data."""
    columns = sorted(summary.drift, key=lambda each: -each.psi if each.psi == each.psi else 0.0)
    if not columns or not any(sum(each.seen) for each in columns):
        return None
    shown = columns[:MOST_COLUMNS]
    plot = _rows_plot(len(shown), (0.0, min(MOST_PSI, max(0.3, shown[0].psi * 1.05))))
    marks = ticks(*plot.x_range, 4)
    plot.x_axis(marks, [f"{mark:g}" for mark in marks], "population stability index")
    for at, each in enumerate(shown):
        plot.bar((0, each.psi), (at - 0.32, at + 0.32), f"grade-{each.grade}", _drift_words(each))
        plot.label(plot.left - 6, plot.y(at) + 4, _cut(each.column), "end")
        if each.psi > MOST_PSI:  # drawn to the edge only
            plot.label(plot.x(MOST_PSI) - 6, plot.y(at) + 4, f"{each.psi:.2f}", "end", "inside")
    plot.rule(PSI_MODERATE, "moderate", vertical=True, style="rule dashed")
    plot.rule(PSI_MAJOR, "major", vertical=True, style="rule dashed")
    moved = [each.column for each in columns if each.grade != "stable"]
    says = f"Drifted: {', '.join(moved)}." if moved else "No column has drifted."
    says = f"The inputs against the training data. {says}"
    rows = tuple(
        (each.column, f"{each.psi:.4f}", f"{each.by_chance:.4f}", f"{each.jensen_shannon:.4f}", each.grade)
        for each in columns
    )
    head = ("column", "PSI", "by chance", "Jensen-Shannon", "")
    title = "Drift of the inputs"
    return Picture("drift", title, says, plot.svg(title, says), PictureTable(head, rows), ())


def distribution(number: int, column: ColumnDrift) -> Picture:
    """One column's values in the training data and in what was scored."""
    shares = [[count / max(1, sum(counts)) for count in counts] for counts in (column.training, column.seen)]
    top = max(*shares[0], *shares[1]) * 1.08
    plot = Plot((0.0, float(len(column.bins))), (0.0, top))
    marks = ticks(0.0, top, 4)
    plot.y_axis(marks, [f"{mark:.0%}" for mark in marks])
    plot.x_axis(
        [0.5, len(column.bins) - 1.5], [_cut(column.bins[0]), _cut(column.bins[-2])], "from bin to bin, gaps last"
    )
    for at, name in enumerate(column.bins):
        for side, (style, what) in enumerate((("quiet", "training"), ("staging", "scored"))):
            said = f"{name}: {words.percent(shares[side][at])} of the {what} data"
            plot.bar((at + 0.1 + 0.4 * side, at + 0.5 + 0.4 * side), (0, shares[side][at]), style, said)
    rows = tuple(
        (name, f"{trained:,}", words.percent(shares[0][at]), f"{seen:,}", words.percent(shares[1][at]))
        for at, (name, trained, seen) in enumerate(zip(column.bins, column.training, column.seen, strict=True))
    )
    table = PictureTable((column.column, "trained", "share", "scored", "share"), rows)
    says = f"A {column.grade} drift: PSI {column.psi:.3f}, Jensen-Shannon {column.jensen_shannon:.3f}."
    keys = (("quiet", "training data"), ("staging", "scored"))
    title = f"{column.column}, drifted"
    return Picture(f"drift-{number}", title, says, plot.svg(title, says), table, keys)


def slice_differences(summary: Summary) -> Picture | None:
    """Where staging is worst and best against production."""
    worst, best = summary.slices_worst[:MOST_SLICES], summary.slices_best[:MOST_SLICES]
    found = bool(worst or best)
    if not found:  # then the ends of what is large enough to be drawn, as what they are: nothing that stands out
        least = 0.02 * max(1, summary.rows["labelled"])
        large = [each for each in summary.slices if each.rows >= least]
        worst, best = tuple(large[:3]), tuple(large[3:][-3:])
    shown = sorted((*worst, *best), key=lambda each: each.difference)
    if not shown:
        return None
    ends = [_slice_interval(each) for each in shown]
    low, high = min(-0.002, *(end[0] for end in ends)), max(0.002, *(end[1] for end in ends))
    plot = _rows_plot(len(shown), (100 * low, 100 * high), left=190)
    marks = ticks(100 * low, 100 * high, 4)
    plot.x_axis(marks, [f"{mark:+g}" if mark else "0" for mark in marks], "staging less production, points")
    plot.rule(0, vertical=True, style="rule strong")
    for at, (each, (start, end)) in enumerate(zip(shown, ends, strict=True)):
        name = f"{each.column} = {each.level}"
        plot.span((100 * start, 100 * end), (at, at), "staging")
        said = f"{name}: {words.points(each.difference)} points, {each.rows:,} rows"
        plot.point(100 * each.difference, at, "staging", said, hollow=not each.found)
        level = _cut(each.level, 9)
        plot.label(plot.left - 6, plot.y(at) + 4, f"{_cut(each.column, 20 - len(level))} = {level}", "end")
    says = (
        f"Where staging is worst and best against production, among {summary.slices_tested} slices at a false "
        f"discovery rate of 5 %." + ("" if found else " None stands out; these are the largest differences seen.")
    )
    rows = tuple(
        (
            f"{s.column} = {s.level}",
            f"{s.rows:,}",
            f"{s.won:,}",
            f"{s.lost:,}",
            words.points(s.difference),
            f"{s.q:.2g}",
        )
        for s in (*worst, *best)
    )
    head = ("slice", "rows", "only staging right", "only production right", "difference, points", "q")
    title = "Slices"
    return Picture("slices", title, says, plot.svg(title, says), PictureTable(head, rows), ())


def _rows_plot(count: int, x_range: tuple[float, float], left: float = 162.0) -> Plot:
    return Plot(x_range, (count - 0.5, -0.5), height=72 + 22 * count, left=left, top=26)


def _slice_interval(each: Slice) -> tuple[float, float]:
    # Wald's interval of a paired difference (Agresti 2013, 11.1), only to be looked at: q decides.
    spread = 1.96 * sqrt(max(0.0, (each.won + each.lost) / each.rows - each.difference**2) / each.rows)
    return each.difference - spread, each.difference + spread


def _drift_words(each: ColumnDrift) -> str:
    return f"{each.column}: PSI {each.psi:.3f}, {each.grade}"


def _cut(text: str, most: int = 20) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
