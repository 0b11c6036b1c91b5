"""The two measures of drift, against values worked out by hand and properties that they must have."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import distance
from scipy.stats import chi2

from models.evidence.figures.drift import grade, jensen_shannon, psi, psi_by_chance

histograms = st.integers(1, 12).flatmap(
    lambda bins: st.tuples(
        *[st.lists(st.integers(0, 10_000), min_size=bins, max_size=bins).filter(any) for _ in range(2)]
    )
)


def test_psi_of_two_worked_bins() -> None:
    # shares .25/.75 and .5/.5: (.5-.25)·ln 2 + (.5-.75)·ln(2/3); so many counts that the half count vanishes
    expected = 0.25 * math.log(2) - 0.25 * math.log(2 / 3)
    assert psi([25e9, 75e9], [50e9, 50e9]) == pytest.approx(expected, rel=1e-6)


def test_an_empty_bin_gives_a_finite_psi() -> None:
    assert 1 < psi([100, 0], [0, 100]) < 20


def test_disjoint_histograms_have_jensen_shannon_distance_1() -> None:
    assert jensen_shannon([10, 0], [0, 3]) == pytest.approx(1.0)


@given(histograms)
def test_both_are_zero_for_equals_and_symmetric(pair: tuple[list[int], list[int]]) -> None:
    e, a = pair
    assert psi(e, e) == 0
    assert jensen_shannon(e, e) == pytest.approx(0, abs=1e-7)
    assert psi(e, a) == pytest.approx(psi(a, e))
    assert psi(e, a) >= 0
    assert 0 <= jensen_shannon(e, a) <= 1
    assert jensen_shannon(e, a) == pytest.approx(jensen_shannon(a, e))


@given(histograms)
def test_jensen_shannon_is_scipys(pair: tuple[list[int], list[int]]) -> None:
    e, a = pair
    assert jensen_shannon(e, a) == pytest.approx(float(distance.jensenshannon(e, a, base=2)), abs=1e-7)


def test_chance_is_the_95th_percentile_of_samples_of_one_distribution() -> None:
    shares = np.array([0.1, 0.2, 0.3, 0.4])
    random = np.random.default_rng(0)
    seen = [psi(random.multinomial(900, shares), random.multinomial(300, shares)) for _ in range(4000)]
    bound = psi_by_chance([90, 180, 270, 360], [30, 60, 90, 120])
    assert bound == pytest.approx((1 / 900 + 1 / 300) * chi2.ppf(0.95, 3), rel=0.01)
    assert np.mean(np.array(seen) < bound) == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize(
    ("value", "chance", "word"),
    [(0.05, 0, "stable"), (0.2, 0, "moderate"), (0.2, 0.3, "stable"), (0.4, 0.3, "major"), (math.nan, 0, "stable")],
)
def test_grades(value: float, chance: float, word: str) -> None:
    assert grade(value, chance) == word


def test_nothing_to_compare_and_misuse() -> None:
    assert math.isnan(psi([0, 0], [1, 1]))
    assert math.isnan(jensen_shannon([0, 0], [1, 1]))
    assert psi_by_chance([0, 0], [1, 1]) == 0
    for wrong in (([1, 2], [1, 2, 3]), ([], []), ([1, -1], [1, 1])):
        with pytest.raises(ValueError, match=r"histogram"):
            psi(*wrong)
