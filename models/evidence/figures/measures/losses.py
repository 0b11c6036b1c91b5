"""The evidence of losses per row that are bounded: log loss that is clipped, the Brier score, costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from models.evidence.figures.measures.asymptotic import Moments, asymptotic_looks, file_moments
from models.evidence.figures.measures.series import grown_files, grown_rows
from models.evidence.figures.sequence import Looks, bisected, nested, share
from models.evidence.record.exact import Floats, Integers

Capital = Callable[[Floats], Floats]  # of a mean, its logarithm
_BETS: Floats = np.geomspace(3e-3, 0.95, 20)
_PAID: Floats = -np.log1p(-_BETS) - _BETS  # ψ


@dataclass(frozen=True)
class LossSeries:
    """`sums`, `squares` [F]: of production's loss minus staging's per row, which lies within ±`bound`."""

    labelled: Integers
    sums: Floats
    squares: Floats
    bound: float

    def looks(self, unit: str, error: float) -> Looks:
        if unit == "file":
            moments = loss_moments(self.sums, self.labelled)
            return asymptotic_looks(unit, self.labelled, moments, error, self.bound)
        rows, total, squares = np.cumsum(self.labelled), np.cumsum(self.sums), np.cumsum(self.squares)
        sides = [self._capital(sign * total, squares, rows) for sign in (1, -1)]
        low, above = (bisected(side, len(rows), error, self.bound) for side in sides)
        low, high, moved = nested(low, -above)
        nought = np.zeros(len(rows))
        return Looks(unit, rows, share(total, rows), low, high, sides[0](nought), sides[1](nought), moved)

    def _capital(self, total: Floats, squares: Floats, rows: Integers) -> Capital:
        return lambda mean: log_loss_capital(total, squares, rows, mean, self.bound)

    def grown(self, unit: str, times: float) -> LossSeries:
        if unit == "file":
            again = np.resize(np.arange(len(self.labelled)), grown_files(len(self.labelled), times))
            return LossSeries(self.labelled[again], self.sums[again], self.squares[again], self.bound)
        sums, squares = (np.array([part.sum() * times]) for part in (self.sums, self.squares))
        return LossSeries(grown_rows(self.labelled, times), sums, squares, self.bound)


def log_loss_capital(total: Floats, squares: Floats, rows: Integers, mean: Floats, bound: float) -> Floats:
    """Logarithm of the capital won by betting that the mean of differences d within ±`bound` is above `mean`.

    From the sum of n rows' d and that of their squares so far. With u = d/bound, and y ≥ -1:
    exp(λy - ψ(λ)y²) ≤ 1 + λy for 0 ≤ λ < 1, ψ(λ) = -log(1 - λ) - λ (Fan, Grama & Liu 2015, "Exponential inequalities
    for martingales with applications", EJP 20), so exp(λ(u - m) - ψ(λ)u²) is worth at most exp(-λm)(1 + λm) ≤ 1 on
    average where m is the mean: the empirical-Bernstein supermartingale of Howard, Ramdas, McAuliffe & Sekhon 2021,
    Annals of Statistics 49, theorem 4, centred at nought. Averaged over a grid of λ; falls as `mean` grows. See also
    Waudby-Smith & Ramdas 2024, JRSS-B 86.
    """
    above = (total - rows * mean)[..., None] / bound
    paid = squares[..., None] / bound**2
    return np.asarray(logsumexp(_BETS * above - _PAID * paid, axis=-1) - np.log(_BETS.size))


def loss_moments(sums: Floats, rows: Integers | Floats) -> Moments:
    """By file [..., F]: the mean difference is a ratio of totals, Σ sums / Σ rows.

    The files' balances, on which accuracy by file bets, would not do: with losses large and rare on one side they can
    be on average far from nought where the mean difference is nought.
    """
    total, count = np.cumsum(sums, axis=-1), np.maximum(np.cumsum(rows, axis=-1), 1)
    difference = total / count
    gradient = np.stack([1 / count, -difference / count], axis=-1)
    return file_moments(difference, gradient, np.stack([sums, np.asarray(rows, dtype=np.float64)], axis=-1))
