"""Small drawings as SVG text: scales, axes, lines, bands, bars and points. Colours and type come from the page.

Every mark carries a class that the page's style knows, or a quiet one (`grid`, `rule`). A drawing is 440 units wide,
made to be read at that width in pixels, so that it fits a phone and grows on a desk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from markupsafe import Markup

from models.printable import escaped

WIDTH = 440.0


@dataclass(frozen=True)
class Scale:
    """Maps values from `low` to `high` onto a length; what lies beyond is drawn at the end."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        span = self.high - self.low or 1.0
        share = min(1.0, max(0.0, (value - self.low) / span))
        return round(self.start + share * (self.end - self.start), 1)


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round values from `low` to `high`, at most about `most`."""
    span = high - low
    if span <= 0:
        return [low]
    rough = span / most
    power = 10.0 ** np.floor(np.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
    first = np.ceil(low / step - 1e-9)
    return [float(np.round(step * (first + at), 12)) for at in range(int((high - first * step) / step + 1e-9) + 1)]


@dataclass
class Plot:
    """One drawing with an x and a y scale, filled from back to front."""

    x_range: tuple[float, float]
    y_range: tuple[float, float]
    height: float = 270.0
    left: float = 46.0
    right: float = 12.0
    top: float = 10.0
    bottom: float = 42.0
    parts: list[Markup] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.x = Scale(*self.x_range, self.left, WIDTH - self.right)
        self.y = Scale(*self.y_range, self.height - self.bottom, self.top)

    def x_axis(self, at: Sequence[float], labels: Sequence[str], title: str = "") -> None:
        """Labels below the drawing."""
        for value, label in zip(at, labels, strict=True):
            place, half = self.x(value), 3.7 * len(label)
            if place + half > WIDTH - self.right + 4:
                anchor, place = "end", min(WIDTH - 2, place + 12)
            else:
                anchor = "start" if place < self.left + 12 else "middle"
            self._text(place, self.height - self.bottom + 16, label, anchor)
        self._text((self.left + WIDTH - self.right) / 2, self.height - 6, title, "middle", "title")

    def y_axis(self, at: Sequence[float], labels: Sequence[str]) -> None:
        """Labels at the left with lines across."""
        for value, label in zip(at, labels, strict=True):
            self._line(self.left, self.y(value), WIDTH - self.right, self.y(value), "grid")
            self._text(self.left - 6, self.y(value) + 4, label, "end")

    def rule(
        self, value: float, label: str = "", *, vertical: bool = False, below: bool = False, style: str = "rule"
    ) -> None:
        """A line across at a value that matters, with its name."""
        if vertical:
            place = self.x(value)
            self._line(place, self.top, place, self.height - self.bottom, style)
            self._text(place, self.top - 6, label, "middle", "note")
        else:
            place = self.y(value)
            self._line(self.left, place, WIDTH - self.right, place, style)
            self._text(WIDTH - self.right, place + (13 if below else -4), label, "end", "note")

    def line(self, xs: Sequence[float], ys: Sequence[float], style: str) -> None:
        """A line through the points."""
        points = " ".join(f"{self.x(x)},{self.y(y)}" for x, y in zip(xs, ys, strict=True))
        self.parts.append(Markup('<polyline class="line {}" points="{}"/>').format(style, points))

    def diagonal(self) -> None:
        """From the lower left to the upper right corner."""
        self._line(self.x.start, self.y.start, self.x.end, self.y.end, "rule")

    def band(self, xs: Sequence[float], lows: Sequence[float], highs: Sequence[float], style: str) -> None:
        """The area between two lines."""
        there = [f"{self.x(x)},{self.y(y)}" for x, y in zip(xs, highs, strict=True)]
        back = [f"{self.x(x)},{self.y(y)}" for x, y in zip(reversed(xs), reversed(lows), strict=True)]
        self.parts.append(Markup('<polygon class="band {}" points="{}"/>').format(style, " ".join(there + back)))

    def point(self, x: float, y: float, style: str, title: str, *, hollow: bool = False) -> None:
        """A mark: production's is a square, staging's a disc. `title` is shown when it is pointed at."""
        name = f"mark {style}{' hollow' if hollow else ''}"
        if "production" in style:
            shape = Markup('<rect class="{}" x="{}" y="{}" width="7" height="7">').format(
                name, round(self.x(x) - 3.5, 1), round(self.y(y) - 3.5, 1)
            )
            end = Markup("</rect>")
        else:
            shape = Markup('<circle class="{}" cx="{}" cy="{}" r="4">').format(name, self.x(x), self.y(y))
            end = Markup("</circle>")
        self.parts.append(shape + Markup("<title>{}</title>").format(escaped(title)) + end)

    def span(self, x: tuple[float, float], y: tuple[float, float], style: str) -> None:
        """A straight line between two points of the drawing, for intervals."""
        self._line(self.x(x[0]), self.y(y[0]), self.x(x[1]), self.y(y[1]), f"span {style}")

    def bar(self, x: tuple[float, float], y: tuple[float, float], style: str, title: str) -> None:
        """A rectangle between two corners."""
        left, right = sorted(self.x(value) for value in x)
        upper, lower = sorted(self.y(value) for value in y)
        self.parts.append(
            Markup('<rect class="bar {}" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>').format(
                style, left, upper, round(max(right - left, 0.5), 1), round(max(lower - upper, 0.5), 1), escaped(title)
            )
        )

    def label(self, x: float, y: float, text: str, anchor: str = "start", style: str = "") -> None:
        """Text at a place, in units of the drawing."""
        self._text(x, y, text, anchor, style)

    def svg(self, title: str, description: str) -> Markup:
        """The drawing; screen readers get the title and the description in its place."""
        head = Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">').format(
            f"{WIDTH:g}", f"{self.height:g}", escaped(f"{title}. {description}")
        )
        return head + Markup("").join(self.parts) + Markup("</svg>")

    def _line(self, x1: float, y1: float, x2: float, y2: float, style: str) -> None:
        self.parts.append(Markup('<line class="{}" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(style, x1, y1, x2, y2))

    def _text(self, x: float, y: float, text: str, anchor: str, style: str = "") -> None:
        if text:
            place = Markup('<text class="{}" x="{}" y="{}" text-anchor="{}">').format(
                style, round(x, 1), round(y, 1), anchor
            )
            self.parts.append(place + escaped(text) + Markup("</text>"))
