"""Evidence that stays valid however often one looks: e-processes and confidence sequences for paired answers.

The unit is a labelled row, or a file where rows of one file hang together. A row is *won* where only staging is right,
*lost* where only production is; the others bear on the difference in accuracy, but not on who is better.

- An e-process starts at 1 and, where its null hypothesis holds, has expectation at most 1 at every stopping time; so it
  ever reaches 1/α with probability at most α (Ville 1939, "Étude critique de la notion de collectif"). Staging and
  production have one each, with α/2, so the error of both together is at most α.
- A confidence sequence is the set of differences whose own e-process has not reached 1/α; it covers the true one at all
  looks at once with probability 1-α (Darling & Robbins 1967; Howard, Ramdas, McAuliffe & Sekhon 2021).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import betaln, logsumexp
from scipy.stats import beta

from models.evidence.record.exact import Floats, Integers

ERROR = 0.05
_PRIOR = 5.0  # Beta(5, 5) above 1/2: most weight on shares of 0.5 to 0.75, where two models worth comparing lie
_ROW_BETS: Floats = np.geomspace(1e-3, 0.9, 24)
_FILE_BETS: Floats = np.geomspace(1e-3, 2.0, 14)
_BALANCES: Floats = np.linspace(-0.996, 0.996, 499)
_BISECTIONS = 45


def shared_error(parts: int) -> float:
    """The error of each of so many questions that ERROR is shared among. Source: Bonferroni 1936."""
    return ERROR / parts


def log_threshold(error: float = ERROR) -> float:
    """The logarithm that an e-value must reach where both sides together may err with this probability."""
    return float(np.log(2 / error))


@dataclass(frozen=True)
class Looks:
    """The evidence at each look, after each file in order of event time: arrays as long as there are files.

    `rows`: labelled rows so far; `difference`: by how much staging is better so far (its accuracy minus production's);
    `low`, `high`: its confidence sequence; `for_staging`, `for_production`: logarithms of the two e-values
    (`log_threshold` decides). `moved`: bounds of different times exclude each other, which says that the difference
    changed over time. `asymptotic`: the error is kept in large samples only.
    """

    unit: str
    rows: Integers
    difference: Floats
    low: Floats
    high: Floats
    for_staging: Floats
    for_production: Floats
    moved: bool
    asymptotic: bool = False


def looks_by_row(won: Integers, lost: Integers, rows: Integers, error: float = ERROR) -> Looks:
    """Looks after each of F files, whose rows count one by one: rows won, lost and labelled, in order of time."""
    total, up, down = np.cumsum(rows), np.cumsum(won), np.cumsum(lost)
    low, high, moved = nested(*row_bounds(up, down, total, error))
    return Looks("row", total, share(up - down, total), low, high, log_e_value(up, down), log_e_value(down, up), moved)


def looks_by_file(won: Integers, lost: Integers, rows: Integers, error: float = ERROR) -> Looks:
    """Looks after each of F files, of which each counts as one observation: for rows that hang together within files.

    The bounds are those of the files' mean balance (`log_file_capital`), times the discordant rows per labelled row.
    """
    total, up, down = np.cumsum(rows), np.cumsum(won), np.cumsum(lost)
    low, high, moved = nested(*file_bounds(won, lost, error))
    discordant, none = share(up + down, total), up + down == 0
    low, high = np.where(none, -1.0, low * discordant), np.where(none, 1.0, high * discordant)
    evidence = log_file_capital(won, lost), log_file_capital(lost, won)
    return Looks("file", total, share(up - down, total), low, high, *evidence, moved)


def log_e_value(won: Integers | Floats, lost: Integers | Floats) -> Floats:
    """Logarithm of the e-value against "of the discordant rows at most half are won", from counts so far.

    The likelihood ratio of a share θ against 1/2, mixed over θ > 1/2 by a Beta(5, 5) cut off at 1/2. Each θ > 1/2 is a
    bet that loses value on average under any share up to 1/2, hence so does the mixture. It needs the counts only, not
    the order of the rows. Source: Ville 1939; Robbins 1970, "Statistical methods related to the law of the iterated
    logarithm" (mixtures); Howard et al. 2021, "Time-uniform, nonparametric, nonasymptotic confidence sequences",
    Annals of Statistics 49 (one-sided beta-binomial mixture).
    """
    won, lost = np.asarray(won, dtype=np.float64), np.asarray(lost, dtype=np.float64)
    above_half = beta.logsf(0.5, won + _PRIOR, lost + _PRIOR) + np.log(2)
    return np.asarray(
        (won + lost) * np.log(2) + betaln(won + _PRIOR, lost + _PRIOR) - betaln(_PRIOR, _PRIOR) + above_half
    )


def log_row_capital(won: Integers | Floats, lost: Integers | Floats, rows: Integers | Floats, mean: Floats) -> Floats:
    """Logarithm of the capital won by betting that the difference in accuracy is above `mean`; from counts so far.

    A row's difference D is 1, 0 or -1, so (1 + D)/(1 + mean) is never negative and on average 1 where `mean` is true. A
    constant share c of the capital is bet on it each time, and the capitals of a grid of c are averaged: a martingale,
    which depends on the counts only. Falls as `mean` grows. Source: Waudby-Smith & Ramdas 2024, "Estimating means of
    bounded random variables by betting", JRSS-B 86; the mixture over constant bets is Cover's 1991 universal portfolio.
    """
    up, down, total = (np.asarray(part, dtype=np.float64)[..., None] for part in (won, lost, rows))
    stake = _ROW_BETS / (1 + mean[..., None])
    kept = 1 - _ROW_BETS
    logs = up * np.log(kept + 2 * stake) + (total - up - down) * np.log(kept + stake) + down * np.log(kept)
    return np.asarray(logsumexp(logs, axis=-1) - np.log(_ROW_BETS.size))


def row_bounds(won: Integers, lost: Integers, rows: Integers, error: float = ERROR) -> tuple[Floats, Floats]:
    """The confidence sequence (1 - `error`) of the difference in accuracy at each look; `log_row_capital` tells how."""
    low = bisected(lambda mean: log_row_capital(won, lost, rows, mean), len(rows), error)
    high = -bisected(lambda mean: log_row_capital(lost, won, rows, mean), len(rows), error)
    return low, high


def log_file_capital(won: Integers, lost: Integers, mean: float = 0.0) -> Floats:
    """Logarithm of the capital after each of F files, betting that files' balances are above `mean`.

    `won`, `lost` [..., F] per file, in order of time. A file's balance is (won - lost)/(won + lost), its difference in
    accuracy per discordant row: between -1 and 1, however its rows hang together. The share of the capital that is bet
    grows with the file's discordant rows m, known before the balance is: c·m/(1 + c·m); the capitals of a grid of c are
    averaged. A martingale where each balance is on average `mean`, given the files before. Falls as `mean` grows.
    Source: Waudby-Smith & Ramdas 2024, as above.
    """
    discordant = np.asarray(won + lost, dtype=np.float64)
    balance = np.divide(won - lost, discordant, out=np.zeros(discordant.shape), where=discordant > 0)
    weight = _FILE_BETS * discordant[..., None]
    stake = weight / (1 + weight)
    logs = np.cumsum(np.log1p(stake * ((1 + balance) / (1 + mean) - 1)[..., None]), axis=-2)
    return np.asarray(logsumexp(logs, axis=-1) - np.log(_FILE_BETS.size))


def file_bounds(won: Integers, lost: Integers, error: float = ERROR) -> tuple[Floats, Floats]:
    """The confidence sequence (1 - `error`) of the files' mean balance after each of F files, on a grid of 0.004."""

    def lower(up: Integers, down: Integers) -> Floats:
        found = np.full(len(up), -1.0)
        for mean in _BALANCES:
            excluded = log_file_capital(up, down, float(mean)) >= log_threshold(error)
            if not excluded.any():
                break
            found[excluded] = mean
        return found

    return lower(won, lost), -lower(lost, won)


def bisected(capital: Callable[[Floats], Floats], count: int, error: float, reach: float = 1.0) -> Floats:
    """For `count` looks the largest mean within ±`reach` whose capital, which falls as the mean grows, has decided."""
    below, above = np.full(count, -reach), np.full(count, reach)
    for _ in range(_BISECTIONS):
        middle = (below + above) / 2
        reached = capital(middle) >= log_threshold(error)
        below, above = np.where(reached, middle, below), np.where(reached, above, middle)
    return below


def nested(low: Floats, high: Floats) -> tuple[Floats, Floats, bool]:
    """Bounds that hold at all looks at once, so the earlier narrow the later; True where nothing would be left."""
    tight_low, tight_high = np.maximum.accumulate(low), np.minimum.accumulate(high)
    moved = bool(np.any(tight_low > tight_high))
    return (low, high, True) if moved else (tight_low, tight_high, False)


def share(part: Integers | Floats, whole: Integers) -> Floats:
    """`part` of `whole`; nought of nothing."""
    return np.divide(part, whole, out=np.zeros(len(whole)), where=whole > 0)
