"""Evidence that may be looked at as often as one likes: simulated false alarms, power and coverage.

Seeds are fixed: each figure below is one draw of 2,000 comparisons, and stands well within what the theory promises.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import beta, binom

from models.evidence.figures.clusters import OVERDISPERSED, overdispersion
from models.evidence.figures.measures.series import CountSeries
from models.evidence.figures.sequence import (
    ERROR,
    Looks,
    file_bounds,
    log_e_value,
    log_file_capital,
    log_row_capital,
    log_threshold,
    looks_by_file,
    looks_by_row,
    row_bounds,
)
from models.evidence.figures.verdict import Kind, Verdict
from models.evidence.figures.verdict import decide as decide_series

RUNS, ROWS, DISCORDANT = 2_000, 20_000, 0.05


def decide(won: np.ndarray, lost: np.ndarray, rows: np.ndarray, unit: str = "row") -> tuple[Verdict, Looks]:
    return decide_series(CountSeries(won, lost, rows, rows), unit=unit, margin=0.005)


def answers(random: np.random.Generator, difference: float, looks: int, every: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows won and lost so far at each look: [RUNS, looks]."""
    up, down = (DISCORDANT + difference) / 2, (DISCORDANT - difference) / 2
    drawn = random.multinomial(every, [up, down, 1 - up - down], size=(RUNS, looks)).astype(np.int32)
    return np.cumsum(drawn[:, :, 0], axis=1), np.cumsum(drawn[:, :, 1], axis=1)


def decisions(won: np.ndarray, lost: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each run the first look at which staging, and production, is said to be better; -1 for never."""
    up, down = np.meshgrid(np.arange(won.max() + 1), np.arange(lost.max() + 1), indexing="ij")
    for_staging = log_e_value(up, down)[won, lost] >= log_threshold()
    for_production = log_e_value(down, up)[won, lost] >= log_threshold()
    return tuple(np.where(side.any(1), side.argmax(1), -1) for side in (for_staging, for_production))


def test_two_equally_good_models_are_hardly_ever_told_apart_however_often_one_looks():
    # given 2,000 comparisons of 20,000 rows, 5 % of them discordant, looked at every 10 rows
    staging, production = decisions(*answers(np.random.default_rng(4), 0.0, ROWS // 10, 10))
    # then at most 5 % of them ever say that one is better, each side having half of it
    assert ((staging >= 0) | (production >= 0)).mean() <= ERROR
    assert (staging >= 0).mean() <= 0.03
    assert (production >= 0).mean() <= 0.03


@pytest.mark.slow
@pytest.mark.parametrize(("difference", "median"), [(0.02, 1_200), (0.01, 5_500), (-0.02, 1_200), (-0.01, 5_500)])
def test_a_better_model_is_found_soon_and_hardly_ever_the_worse(difference, median):
    right, wrong = decisions(*answers(np.random.default_rng(5), difference, 2_000, 10))
    if difference < 0:
        right, wrong = wrong, right
    rows = np.where(right >= 0, (right + 1) * 10, ROWS)
    assert np.median(rows) <= median
    assert ((wrong >= 0) & ((right < 0) | (wrong < right))).mean() <= 0.025
    assert (wrong >= 0).mean() <= 0.025


@pytest.mark.slow
@pytest.mark.parametrize("difference", [0.0, 0.01])
def test_the_confidence_sequence_covers_the_true_difference_at_all_of_20000_looks(difference):
    # given 2,000 runs of 20,000 rows; between two discordant rows the capital is convex in the number of rows, so its
    # maximum over all looks lies right after a discordant row or right before the next; and who bets on the side of
    # which there have been too few has less than at the start (the mean of logarithms is below that of the mean)
    random = np.random.default_rng(6)
    up, down = (DISCORDANT + difference) / 2, (DISCORDANT - difference) / 2
    missed = 0
    for _ in range(RUNS // 100):
        drawn = random.random((100, ROWS), dtype=np.float32)
        won, lost = drawn < up, (drawn >= up) & (drawn < up + down)
        run, row = np.nonzero(won | lost)
        ups, downs = np.cumsum(won, axis=1)[run, row], np.cumsum(lost, axis=1)[run, row]
        last = np.append(run[1:] != run[:-1], True)
        before_next = np.where(last, ROWS, np.append(row[1:], ROWS))
        outside = np.zeros(run.size, dtype=bool)
        for rows in (row + 1, before_next):
            above = ups - downs > difference * rows
            for side, sign, won_so_far, lost_so_far in ((above, 1, ups, downs), (~above, -1, downs, ups)):
                capital = log_row_capital(won_so_far[side], lost_so_far[side], rows[side], np.array(sign * difference))
                outside[side] |= capital >= log_threshold()
        missed += np.unique(run[outside]).size
    # then it covers in at least 95 %
    assert 1 - missed / RUNS >= 0.95


def test_the_confidence_sequence_is_tight_enough_to_say_that_there_is_no_difference():
    # given equal models with 5 % discordant rows, counted as expected
    rows = np.array([2_000, 8_000, 25_000, 100_000])
    low, high = row_bounds((rows * 0.025).astype(int), (rows * 0.025).astype(int), rows)
    # then half a point is excluded by 25,000 rows, and the bounds stay within twice those of a single look
    assert low[2] > -0.005
    assert high[2] < 0.005
    assert np.all(high <= 2 * 1.96 * np.sqrt(DISCORDANT / rows))
    np.testing.assert_allclose(low, -high, atol=1e-9)


def clustered(random: np.random.Generator, share: float, files: int, together: float = 0.12) -> tuple[np.ndarray, ...]:
    """Won and lost rows per file [RUNS, files]: files of 500 rows whose own share of won rows is drawn per file."""
    rate = random.beta(2, 38, (RUNS, files))
    discordant = random.binomial(500, rate)
    precision = 1 / together - 1
    shares = random.beta(share * precision, (1 - share) * precision, (RUNS, files))
    won = random.binomial(discordant, shares)
    return won, discordant - won


@pytest.mark.slow
def test_files_whose_rows_hang_together_raise_no_false_alarms_with_files_as_the_unit_and_the_warning_is_shown():
    # given 2,000 comparisons of two equally good models in 40 files of 500 rows, looked at after each file
    won, lost = clustered(np.random.default_rng(7), 0.5, 40)
    alarms = (log_file_capital(won, lost) >= log_threshold()) | (log_file_capital(lost, won) >= log_threshold())
    # then the verdict by files keeps its error, where that by rows loses it
    assert alarms.any(axis=1).mean() <= ERROR
    staging, production = decisions(np.cumsum(won, axis=1), np.cumsum(lost, axis=1))
    assert ((staging >= 0) | (production >= 0)).mean() > 2 * ERROR
    # and the overdispersion is above the limit of the warning
    rows = np.full(40, 500)
    found = [overdispersion(won[run], lost[run], rows) for run in range(200)]
    assert np.mean(np.array(found) > OVERDISPERSED) > 0.95


def test_files_as_the_unit_find_the_better_model_in_a_few_dozen_files():
    won, lost = clustered(np.random.default_rng(8), 0.7, 120)
    reached = log_file_capital(won, lost) >= log_threshold()
    files = np.where(reached.any(1), reached.argmax(1) + 1, 10_000)
    assert np.median(files) <= 40
    assert (log_file_capital(lost, won) >= log_threshold()).any(axis=1).mean() <= 0.025


def test_the_files_confidence_sequence_covers_the_true_balance_at_all_looks():
    won, lost = clustered(np.random.default_rng(9), 0.6, 60)
    capital = log_file_capital(won, lost, 0.2) >= log_threshold()
    capital |= log_file_capital(lost, won, -0.2) >= log_threshold()
    assert capital.any(axis=1).mean() <= ERROR
    # and the bounds are where the capital reaches the threshold
    low, high = file_bounds(won[0], lost[0])
    for at in (5, 30, 59):
        assert log_file_capital(won[0], lost[0], float(low[at]))[at] >= log_threshold() or low[at] == -1
        assert log_file_capital(won[0], lost[0], float(low[at]) + 0.005)[at] < log_threshold()
        assert log_file_capital(lost[0], won[0], -float(high[at]))[at] >= log_threshold() or high[at] == 1


@pytest.mark.parametrize(("won", "lost"), [(0, 0), (3, 1), (40, 20), (5, 30)])
def test_the_e_value_is_the_mixture_it_says_to_be(won, lost):
    def bet(share: float) -> float:
        return float((2 * share) ** won * (2 * (1 - share)) ** lost * 2 * beta.pdf(share, 5, 5))

    assert np.exp(log_e_value(won, lost)) == pytest.approx(quad(bet, 0.5, 1)[0], rel=1e-8)


@pytest.mark.parametrize("share", [0.5, 0.45, 0.3])
def test_the_e_value_is_worth_at_most_one_where_staging_is_not_better(share):
    rows = np.arange(0, 41)
    expected = (binom.pmf(rows, 40, share) * np.exp(log_e_value(rows, 40 - rows))).sum()
    assert expected <= 1 + 1e-9
    if share == 0.5:
        assert expected == pytest.approx(1)


def test_bounds_narrow_from_look_to_look_unless_the_difference_moves():
    won, lost, rows = np.full(30, 40), np.full(30, 10), np.full(30, 1_000)
    steady = looks_by_row(won, lost, rows)
    assert np.all(np.diff(steady.low) >= 0)
    assert np.all(np.diff(steady.high) <= 0)
    assert not steady.moved
    moving = looks_by_row(np.repeat([40, 10], 15), np.repeat([10, 40], 15), rows)
    assert moving.moved
    assert np.all(moving.low <= moving.high)


@pytest.mark.parametrize("unit", ["row", "file"])
def test_evidence_by_rows_and_by_files_agrees_on_a_clear_case(unit):
    verdict, looks = decide(np.full(40, 30), np.full(40, 10), np.full(40, 1_000), unit=unit)
    assert str(verdict) == "staging is better"
    assert looks.low[-1] < 0.02 < looks.high[-1]
    assert looks.low[-1] > 0
    assert decide(np.full(40, 10), np.full(40, 30), np.full(40, 1_000), unit=unit)[0].kind is Kind.PRODUCTION
    even = decide(np.full(100, 25), np.full(100, 25), np.full(100, 1_000), unit=unit)[0]
    assert str(even) == "no difference above 0.5 points"


def test_a_verdict_of_not_yet_says_how_many_rows_are_missing():
    few = (np.array([6]), np.array([4]), np.array([200]))
    verdict, _ = decide(*few)
    assert verdict.kind is Kind.NOT_YET
    assert str(verdict) == f"not yet: about {verdict.more_rows:,} more labelled rows at this rate"
    # and with so many more at the same rate the verdict is there
    times = (200 + verdict.more_rows) / 200
    assert decide(*(np.array([round(int(part[0]) * times)]) for part in few))[0].kind is Kind.STAGING
    assert str(decide(*(np.zeros(3, dtype=int),) * 3)[0]) == "not yet: no labelled rows so far"
    assert decide(*(np.zeros(0, dtype=int),) * 3)[0].kind is Kind.NOT_YET


def test_evidence_for_each_at_different_times_decides_nothing():
    won, lost = np.repeat([60, 5], 10), np.repeat([5, 80], 10)
    verdict, _ = decide(won, lost, np.full(20, 1_000))
    assert verdict.kind is Kind.NOT_YET
    assert "changes" in str(verdict)


def test_what_was_decided_stays_decided():
    won, lost = np.array([40, 5, 5]), np.array([5, 15, 15])
    verdict, looks = decide(won, lost, np.full(3, 500))
    assert (verdict.kind, verdict.look) == (Kind.STAGING, 0)
    assert looks.for_staging[-1] < log_threshold()


def test_files_without_labels_change_nothing():
    won, lost, rows = np.array([0, 20, 0, 12]), np.array([0, 9, 0, 3]), np.array([0, 500, 0, 300])
    for look in (looks_by_row, looks_by_file):
        whole, kept = look(won, lost, rows), look(won[rows > 0], lost[rows > 0], rows[rows > 0])
        np.testing.assert_allclose(whole.for_staging[[1, 3]], kept.for_staging)
        np.testing.assert_allclose(whole.low[[1, 3]], kept.low)
        assert whole.for_staging[0] == pytest.approx(0)
        assert (whole.low[0], whole.high[0]) == pytest.approx((-1, 1))
