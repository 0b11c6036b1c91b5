"""A column of numbers as a drawing: rows by class in each bin, and below them the classes' shares."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from models.html.chart import Plot, ticks
from models.profile.analysis import ColumnAnalysis

_SHARES = (-0.28, -0.06)  # where the shares are drawn, in parts of the highest bar


def histogram(column: ColumnAnalysis, classes: Sequence[str]) -> Markup:
    """An `<svg>`; a bar of class number n carries the class `class-n`."""
    edges = np.asarray(column.bins.edges)
    counts = column.counts[: len(edges) - 1]
    totals = counts.sum(axis=1)
    top = float(totals.max())
    plot = Plot((edges[0], edges[-1]), (_SHARES[0] * top, top), height=230, left=52, bottom=24)
    marks = [mark for mark in ticks(0, top, 4) if mark % 1 == 0]
    plot.y_axis(marks, [_brief(mark) for mark in marks])
    marks = ticks(edges[0], edges[-1], 6)
    plot.x_axis(marks, [_brief(mark) for mark in marks])
    gap = 0.03 * np.diff(edges)
    for at, place in enumerate(zip(edges[:-1] + gap, edges[1:] - gap, strict=True)):
        ends = np.concatenate(([0], counts[at].cumsum()))
        shares = top * (_SHARES[0] + (_SHARES[1] - _SHARES[0]) * ends / max(1, totals[at]))
        for number, rows in enumerate(counts[at]):
            if rows:
                said = f"{column.bins.names[at]}: {rows:,} {classes[number]} ({rows / totals[at]:.1%})"
                for heights in (ends, shares):
                    plot.bar(place, (heights[number], heights[number + 1]), f"class-{number}", said)
    return plot.svg(column.name, "Rows by class in each bin, and the classes' shares below")


def _brief(value: float) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= max(size, 1e4):  # 2005 may be a year
            return f"{value / size:g}{letter}"
    return f"{value:g}"
