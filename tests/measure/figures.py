"""Figures beside their bounds: what a measurement notes, and the one table that `make measure` ends with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Figure:
    """One measured value and the bound that it is to keep; `unit` stands behind both."""

    what: str
    value: float
    at_most: float | None = None
    at_least: float | None = None
    unit: str = ""

    @property
    def holds(self) -> bool:
        """False for a value beyond its bound, and for one that is not a number."""
        return (self.at_most is None or self.value <= self.at_most) and (
            self.at_least is None or self.value >= self.at_least
        )

    @property
    def bound(self) -> str:
        """The bound in words; empty for a figure that is only told."""
        bounds = [("at most", self.at_most), ("at least", self.at_least)]
        return " and ".join(f"{words} {_shown(bound, self.unit)}" for words, bound in bounds if bound is not None)

    @property
    def row(self) -> tuple[str, str, str, str]:
        verdict = "" if not self.bound else "holds" if self.holds else "FALLS SHORT"
        return self.what, _shown(self.value, self.unit), self.bound, verdict


@dataclass
class Figures:
    """What one measurement notes."""

    of: str
    noted: list[Figure] = field(default_factory=list)

    def note(
        self, what: str, value: float, unit: str = "", *, at_most: float | None = None, at_least: float | None = None
    ) -> None:
        """Notes a figure for the table, whether it keeps its bound or not; without a bound it is only told."""
        self.noted.append(Figure(f"{self.of}: {what}", value, at_most, at_least, unit))


def table(figures: Sequence[Figure]) -> str:
    """The figures as a table in text, a line each."""
    rows = [("figure", "measured", "bound", ""), *(figure.row for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [
        f"{what:{widths[0]}}  {value:>{widths[1]}}  {bound:{widths[2]}}  {verdict}".rstrip()
        for what, value, bound, verdict in rows
    ]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def _shown(value: float, unit: str) -> str:
    number = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{number} {unit}".rstrip()
