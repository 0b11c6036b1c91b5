"""The drawings of the page: matplotlib's SVG in the page's own colours, so that it fits light and dark."""

from __future__ import annotations

import io
import re
import warnings
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from models.profile.analysis import Analysis, ColumnAnalysis

# Stand-ins that no other colour of a drawing equals → the page's variables.
_INK, _FAINT, _RISE, _FALL = "#010203", "#040506", "#070809", "#0a0b0c"
_VARIABLES = {_INK: "--ink", _FAINT: "--line", _RISE: "--rise", _FALL: "--fall"}
_CLASSES = [f"#0d0e{number:02x}" for number in range(9)]
_VARIABLES |= {colour: f"--class-{number}" for number, colour in enumerate(_CLASSES)}
_STYLE = {
    "svg.fonttype": "none",  # text stays text: it can be read aloud, searched, and takes the page's font
    "svg.hashsalt": "profile",
    "text.parse_math": False,  # a column called "$x$" is a name, not a formula
    "font.size": 8.0,
    "font.family": "DejaVu Sans",
    "text.color": _INK,
    "axes.edgecolor": _FAINT,
    "axes.labelcolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.size": 0.0,
    "ytick.major.size": 0.0,
}
_WIDTH = 3.6


def column_chart(column: ColumnAnalysis) -> str:
    """An `<svg>`: how many rows lie in each bin, stacked by class, and beside it the classes' shares per bin."""
    with mpl.rc_context(_STYLE):
        return _drawn(_bars_of_numbers(column) if column.kind == "number" else _bars_of_values(column))


def correlation_chart(analysis: Analysis) -> str:
    """An `<svg>` of the lower half of the correlation matrix, a square per pair, as strong as |r|."""
    names, matrix = analysis.correlated, analysis.correlation
    size = len(names)
    with mpl.rc_context(_STYLE):
        side = max(3.2, 0.3 * size)
        width = side + 1.75 + 1.55  # room for the names of rows on the left, of columns beside the diagonal
        figure = Figure(figsize=(width, side + 0.1))
        axes = figure.add_axes((1.75 / width, 0.01, side / width, 0.98))
        for row in range(size):
            for at in range(row):
                r = matrix[row, at]
                if np.isnan(r):
                    continue
                colour = _RISE if r > 0 else _FALL
                axes.add_patch(Rectangle((at, row), 0.94, 0.94, facecolor=colour, alpha=max(0.03, abs(float(r)))))
                if abs(r) >= 0.3:
                    text = f"{r:.2f}".replace("0.", ".")
                    axes.text(at + 0.47, row + 0.5, text, ha="center", va="center", fontsize=6.0)
            axes.text(row + 0.15, row + 0.5, _short(names[row], 26), ha="left", va="center", fontsize=7.0)
            axes.text(-0.2, row + 0.5, _short(names[row], 26), ha="right", va="center", fontsize=7.0)
        axes.set_xlim(0, size)
        axes.set_ylim(size, 0)
        axes.axis("off")
        return _drawn(figure)


def _bars_of_numbers(column: ColumnAnalysis) -> Figure:
    edges = np.asarray(column.bins.edges)
    counts = column.counts[: len(edges) - 1]
    figure = Figure(figsize=(_WIDTH, 1.75))
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    figure.subplots_adjust(left=0.13, right=0.95, top=0.95, bottom=0.14, hspace=0.12)
    left, width = edges[:-1], np.diff(edges)
    for axes, heights in ((above, counts), (below, _shares(counts))):
        base = np.zeros(len(left))
        for number in range(counts.shape[1]):
            axes.bar(left, heights[:, number], width * 0.94, base, align="edge", color=_CLASSES[number], linewidth=0)
            base += heights[:, number]
    above.yaxis.set_major_formatter(lambda value, _: _brief(value))
    above.yaxis.set_major_locator(mpl.ticker.MaxNLocator(4, integer=True))
    above.grid(axis="y", color=_FAINT, linewidth=0.5)
    above.set_axisbelow(True)
    below.set_ylim(0, 1)
    below.set_yticks([])
    below.spines["left"].set_visible(False)
    below.xaxis.set_major_formatter(lambda value, _: _brief(value))
    below.set_xlim(edges[0], edges[-1])
    return figure


def _bars_of_values(column: ColumnAnalysis) -> Figure:
    shown = np.flatnonzero(column.counts.sum(axis=1) > 0)
    counts = column.counts[shown]
    names = [_short(column.bins.names[at], 18) for at in shown]
    height = 0.16 + 0.215 * len(names)
    figure = Figure(figsize=(_WIDTH, height))
    # In inches: names, bars, room for the longest count, shares.
    start, count, share = 0.1 + 0.062 * max(map(len, names)), 0.12 + 0.058 * len(f"{counts.sum(axis=1).max():,}"), 0.8
    left = figure.add_axes((start / _WIDTH, 0.02, (_WIDTH - start - count - share - 0.04) / _WIDTH, 0.96))
    right = figure.add_axes(((_WIDTH - share - 0.04) / _WIDTH, 0.02, share / _WIDTH, 0.96), sharey=left)
    right.tick_params(labelleft=False)
    places = np.arange(len(names))
    for axes, lengths in ((left, counts), (right, _shares(counts))):
        base = np.zeros(len(names))
        for number in range(counts.shape[1]):
            axes.barh(places, lengths[:, number], 0.78, base, color=_CLASSES[number], linewidth=0)
            base += lengths[:, number]
        axes.set_xticks([])
        for spine in axes.spines.values():
            spine.set_visible(False)
    total = counts.sum(axis=1)
    left.set_xlim(0, total.max())
    for place, rows in zip(places, total, strict=True):
        left.annotate(f"{rows:,}", (rows, place), (3, 0), textcoords="offset points", va="center", fontsize=7)
    left.set_yticks(places, names)
    left.invert_yaxis()
    right.set_xlim(0, 1)
    return figure


def _drawn(figure: Figure) -> str:
    file = io.StringIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # glyphs that the measuring font lacks: the reader's browser has them
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(file, format="svg", transparent=True, metadata=nothing)
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style [^>]*>.*?</style>|<!--.*?-->", "", svg, flags=re.DOTALL)
    head, rest = svg.split(">", 1)
    svg = re.sub(r' (width|height)="[^"]*"', "", head) + ">" + rest  # the page gives the size, viewBox the shape
    svg = svg.replace("'DejaVu Sans'", "inherit")
    return re.sub(r'style="[^"]*"', lambda style: re.sub(r"#[0-9a-f]{6}", _page_colour, style[0]), svg)


def _page_colour(colour: re.Match[str]) -> str:
    return f"var({_VARIABLES[colour[0]]})" if colour[0] in _VARIABLES else colour[0]


def _shares(counts: Any) -> Any:
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def _brief(value: float) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= max(size, 1e4):  # 2005 may be a year
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def _short(text: str, most: int) -> str:
    plain = "".join(letter if letter.isprintable() else " " for letter in text)
    return plain if len(plain) <= most else plain[: most - 1] + "…"
