"""How a measure's differences are written: in points, or in its own unit and direction."""

from __future__ import annotations

from typing import Protocol


class Written(Protocol):
    """What is to be known of a measure."""

    @property
    def shares(self) -> bool: ...

    @property
    def lower_is_better(self) -> bool: ...


class Sampled(Protocol):
    """Of what it is to be known whether its error is kept in large samples only."""

    @property
    def asymptotic(self) -> bool: ...


def asymptotic(of: Sampled) -> str:
    """Said beside every bound and every verdict that rests on large samples."""
    return " (asymptotic)" if of.asymptotic else ""


def number(value: float) -> str:
    """A figure in a measure's own unit."""
    return f"{value:.4f}" if abs(value) < 100 else f"{value:,.2f}"


def difference(of: Written, better: float) -> str:
    """By how much staging is better (nought or more) or worse, as points, or as `0.0120 lower`."""
    if of.shares:
        return f"{100 * better:+z.2f}"
    return f"{number(abs(better))} {'lower' if (better >= 0) == of.lower_is_better else 'higher'}"


def borne(of: Written, value: float) -> str:
    """By how much staging may be worse."""
    if not of.shares:
        return f"{value:g}"
    return "1 point" if value == 0.01 else f"{100 * value:g} points"


def interval(of: Written, low: float, high: float) -> str:
    """A difference's bounds: `-0.20 and +1.30 points`, `0.0100 lower and 0.0020 higher`."""
    return f"{difference(of, low)} and {difference(of, high)}{' points' if of.shares else ''}"
