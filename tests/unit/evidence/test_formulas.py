"""The formulas of the measures' evidence, against what they are said to be."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from models.evidence.figures.measures.asymptotic import deciding_score, file_moments, log_mixture
from models.evidence.figures.measures.losses import LossSeries, log_loss_capital, loss_moments
from models.evidence.figures.measures.ratios import f1, parts_of, precision
from models.evidence.figures.sequence import log_threshold
from tests.unit.evidence.measured import Rows


@pytest.mark.parametrize("mean", [-0.9, -0.2, 0.0, 0.1, 0.7])
@pytest.mark.parametrize("low", [-1.0, -0.95])
def test_a_bet_on_a_row_is_worth_at_most_one_where_the_mean_is_as_said(mean: float, low: float) -> None:
    # given differences of which all but few are at one value, the hardest case, with that mean
    for high in (1.0, mean + 0.01, 0.9):
        if not low < mean < high:
            continue
        share = (mean - low) / (high - low)
        capital = np.exp(
            [log_loss_capital(np.array(d), np.array(d * d), np.array(1), np.array(mean), 1.0) for d in (high, low)]
        )
        assert share * capital[0] + (1 - share) * capital[1] <= 1 + 1e-12


def test_the_capital_falls_as_the_mean_grows_and_the_bounds_are_where_it_decides() -> None:
    sums, squares, rows = np.full(20, 8.0), np.full(20, 30.0), np.full(20, 400)
    looks = LossSeries(rows, sums, squares, 6.9).looks("row", 0.05)
    total, of_squares, count = (np.cumsum(each) for each in (sums, squares, rows))

    for step, reached in ((-1e-6, True), (1e-6, False)):
        capital = log_loss_capital(total, of_squares, count, looks.low + step, 6.9)
        assert (capital[5:] >= log_threshold()).tolist() == [reached] * 15
    assert np.all(looks.low < looks.difference)
    assert np.all(looks.difference < looks.high)


@pytest.mark.parametrize("score", [-2.0, 0.0, 1.5, 4.0])
@pytest.mark.parametrize("clock", [0.1, 1.0, 30.0])
def test_the_mixture_is_the_one_it_says_to_be(score: float, clock: float) -> None:
    def bet(mean: float) -> float:  # in standard errors
        return float(np.exp(score * mean - mean**2 / 2) * 2 * norm.pdf(mean, scale=np.sqrt(clock)))

    expected = quad(bet, 0, np.inf)[0]
    assert np.exp(log_mixture(np.array(score), np.array(clock))) == pytest.approx(expected, rel=1e-7)
    decides = deciding_score(np.array(clock), 0.05)
    assert log_mixture(decides, np.array(clock)) == pytest.approx(log_threshold(0.05))


@pytest.mark.parametrize(("ratio", "classes"), [(precision, (1,)), (f1, (1,)), (f1, (0, 1, 2))])
def test_derivatives_are_those_of_the_difference_and_influences_add_up_to_nought(ratio, classes) -> None:  # type: ignore[no-untyped-def]
    judged = Rows(2, 3_000, classes=3, better=0.3).record().judged
    totals = judged.counts @ parts_of(judged.answers(3), classes).toarray()
    value, gradient = ratio(totals)

    for at in range(totals.size):
        moved = totals.copy()
        moved[at] += 0.01
        assert (ratio(moved)[0] - value) / 0.01 == pytest.approx(gradient[at], abs=1e-7)
    assert gradient @ totals == pytest.approx(0, abs=1e-9)


def test_the_spread_by_file_is_that_of_the_files_and_is_the_same_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(4)
    sums, rows = random.normal(1, 3, 60), np.full(60, 50)
    found = loss_moments(sums, rows)
    for look in (9, 59):
        so_far = sums[: look + 1] / 50
        assert found.difference[look] == pytest.approx(so_far.mean())
        assert found.second[look] == pytest.approx(so_far.var(ddof=1) / (look + 1))
    monkeypatch.setattr("models.evidence.figures.measures.asymptotic._CHUNK", 200)
    parts = np.stack([sums, rows.astype(float)], axis=-1)
    count, total = np.cumsum(rows), np.cumsum(sums)
    gradient = np.stack([1 / count, -total / count**2], axis=-1)
    pieces = file_moments(total / count, gradient, parts)
    np.testing.assert_allclose(pieces.second, found.second)
    np.testing.assert_allclose(pieces.third, found.third, atol=1e-15)
