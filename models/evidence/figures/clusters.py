"""Rows of one file may hang together; and some rows may fare otherwise than the rest: files, and slices of columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from models.evidence.figures.statistics import mcnemar
from models.evidence.record.columns import Levels
from models.evidence.record.exact import Integers

OVERDISPERSED = 1.5
FALSE_DISCOVERY_RATE = 0.05


def overdispersion(won: Integers, lost: Integers, rows: Integers) -> float | None:
    """How much more the files' differences vary than independent rows would make them: 1 where rows are independent.

    Pearson's chi-square of the files' won - lost over its degrees of freedom, with the rows' pooled variance. Above
    OVERDISPERSED, evidence that counts rows is overstated. None where fewer than two files have labelled rows, or
    none has a discordant one. Source: McCullagh & Nelder 1989, "Generalized Linear Models", 4.5.
    """
    labelled = rows > 0
    won, lost, rows = won[labelled], lost[labelled], rows[labelled]
    if rows.size < 2:
        return None
    total, difference = int(rows.sum()), float((won - lost).sum() / rows.sum())
    variance = float((won + lost).sum()) / total - difference**2
    if variance <= 0:
        return None
    squares = np.square((won - lost) - rows * difference) / (rows * variance)
    return float(squares.sum() / (rows.size - 1))


@dataclass(frozen=True)
class Slice:
    """One level of one column: labelled rows, those that only one model had right, and how sure that is.

    `difference`: staging's accuracy minus production's there; `p`: McNemar's exact test; `q`: the false discovery rate
    at which it would be the last one named; `found`: q is at most FALSE_DISCOVERY_RATE.
    """

    column: str
    level: str
    rows: int
    won: int
    lost: int
    difference: float
    p: float
    q: float

    @property
    def found(self) -> bool:
        return self.q <= FALSE_DISCOVERY_RATE


def slices(columns: Iterable[tuple[str, Levels]]) -> tuple[Slice, ...]:
    """Every level with labelled rows, from the worst for staging to the best.

    The false discovery rate over all of them is controlled by Benjamini & Hochberg 1995 (JRSS-B 57), through scipy's
    `false_discovery_control`; the tests are for one look.
    """
    counted = []
    for column, levels in columns:
        for level, (_, _, both, lost, won, neither) in sorted((levels.levels or {}).items()):
            rows = int(both + lost + won + neither)
            if rows:
                counted.append((column, level, rows, int(won), int(lost), mcnemar(int(won), int(lost))))
    if not counted:
        return ()
    adjusted = stats.false_discovery_control([p for *_, p in counted])
    found = [
        Slice(column, level, rows, won, lost, (won - lost) / rows, p, float(q))
        for (column, level, rows, won, lost, p), q in zip(counted, adjusted, strict=True)
    ]
    return tuple(sorted(found, key=lambda each: (each.difference, each.p, each.column, each.level)))


def extremes(found: Sequence[Slice], count: int = 8) -> tuple[tuple[Slice, ...], tuple[Slice, ...]]:
    """The slices where staging is worst and where it is best, that stand out: at most `count` each, surest first."""
    sure = sorted((each for each in found if each.found), key=lambda each: (each.p, each.column, each.level))
    worst = tuple(each for each in sure if each.difference < 0)[:count]
    return worst, tuple(each for each in sure if each.difference > 0)[:count]
