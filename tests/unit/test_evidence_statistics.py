"""The figures of a comparison equal those that scikit-learn and scipy work out from the rows themselves."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import accuracy_score, brier_score_loss, cohen_kappa_score, log_loss, roc_auc_score

from models.evidence.figures import clusters
from models.evidence.figures.clusters import Slice, extremes, overdispersion, slices
from models.evidence.figures.statistics import Measure, kappa, loss, mcnemar, measures, quantiles, wilson
from models.evidence.record import bins
from models.evidence.record.columns import Levels
from models.evidence.record.comparison import Comparison, Predictions
from models.registry.spec import Column, ModelSpec


def record_of(classes: tuple[str, ...], truth: np.ndarray, *probabilities: np.ndarray) -> Comparison:
    def spec(version: str) -> ModelSpec:
        return ModelSpec("m", version, "run", (Column("a", is_text=False),), classes, positive=classes[-1])

    record = Comparison.start(spec("1"), spec("2"))
    names = np.array(classes, dtype=object)
    record.add(*(Predictions(names[p.argmax(1)], p) for p in probabilities), names[truth])
    return record


def two_classes(rows: int, seed: int, sharp: float = 3.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth [N] and two models' probabilities [N, 2] that lean on the same signal; `sharp` crowds them at 0 and 1."""
    random = np.random.default_rng(seed)
    signal = random.normal(0, sharp, rows)
    truth = (random.random(rows) < 1 / (1 + np.exp(-signal))).astype(int)
    models = []
    for noise in (1.0, 0.7):
        positive = 1 / (1 + np.exp(-(signal * 1.2 + random.normal(0, noise * sharp, rows))))
        models.append(np.column_stack([1 - positive, positive]))
    return truth, models[0], models[1]


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(20, 3_000))
def test_two_classes_equal_scikit_learn_to_1e_9(seed, rows):
    truth, *models = two_classes(rows, seed)
    truth[:2] = 0, 1
    record = record_of(("no", "yes"), truth, *models)
    found = measures(record)
    answers = [model.argmax(1) for model in models]
    for side, model, answer in zip(("production", "staging"), models, answers, strict=True):
        assert getattr(found["accuracy"], side).value == pytest.approx(accuracy_score(truth, answer), abs=1e-9)
        assert getattr(found["log_loss"], side).value == pytest.approx(log_loss(truth, model[:, 1]), abs=1e-9)
        assert getattr(found["brier"], side).value == pytest.approx(brier_score_loss(truth, model[:, 1]), abs=1e-9)
    assert kappa(record.agreement) == pytest.approx(cohen_kappa_score(*answers), abs=1e-9)
    right = [answer == truth for answer in answers]
    won, lost = int((right[1] & ~right[0]).sum()), int((right[0] & ~right[1]).sum())
    assert record.paired[[2, 1]].tolist() == [won, lost]
    # scipy's exact binomial, summed by hand over every split at least as uneven
    splits = stats.binom.pmf(np.arange(won + lost + 1), won + lost, 0.5)
    expected = min(1.0, splits[splits <= splits[won] * (1 + 1e-7)].sum())
    assert mcnemar(won, lost) == pytest.approx(expected, abs=1e-9)


@settings(max_examples=15)
@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(50, 1_000))
def test_more_classes_equal_scikit_learn_to_1e_9(seed, rows):
    random = np.random.default_rng(seed)
    truth = random.integers(0, 4, rows)
    truth[:4] = range(4)
    models = [random.dirichlet(np.full(4, 0.5), rows) for _ in range(2)]
    found = measures(record := record_of(("a", "b", "c", "d"), truth, *models))
    assert "auc" not in found
    for side, model in zip(("production", "staging"), models, strict=True):
        assert getattr(found["accuracy"], side).value == pytest.approx(accuracy_score(truth, model.argmax(1)), abs=1e-9)
        assert getattr(found["log_loss"], side).value == pytest.approx(log_loss(truth, model), abs=1e-9)
        expected = brier_score_loss(truth, model, scale_by_half=False)
        assert getattr(found["brier"], side).value == pytest.approx(expected, abs=1e-9)
    answers = [model.argmax(1) for model in models]
    assert kappa(record.agreement) == pytest.approx(cohen_kappa_score(*answers), abs=1e-9)
    # the calibration error is that of the predicted class
    confidence, right = models[0].max(1), answers[0] == truth
    assert found["calibration_error"].production.value == pytest.approx(direct_error(confidence, right), abs=1e-9)


def direct_error(score: np.ndarray, target: np.ndarray) -> float:
    tenth = np.minimum((score * 10).astype(int), 9)
    parts = [tenth == each for each in range(10)]
    return sum(abs(score[part].sum() - target[part].sum()) for part in parts) / score.size


@pytest.mark.parametrize("sharp", [0.5, 3.0, 12.0])
@pytest.mark.parametrize("steps", [None, 100])
def test_auc_from_histograms_equals_that_of_the_rows_to_1e_3(sharp, steps):
    # given scores in the middle, crowded at both ends, or in the steps of a forest of a hundred trees
    truth, *models = two_classes(20_000, 3, sharp)
    if steps:
        models = [np.round(model * steps) / steps for model in models]
    found = measures(record_of(("no", "yes"), truth, *models))["auc"]
    expected = [roc_auc_score(truth, model[:, 1]) for model in models]
    assert found.production.value == pytest.approx(expected[0], abs=1e-3)
    assert found.staging.value == pytest.approx(expected[1], abs=1e-3)
    assert found.difference.value == pytest.approx(expected[1] - expected[0], abs=1e-3)


def test_the_interval_of_the_auc_is_delongs():
    truth, *models = two_classes(3_000, 5)
    found = measures(record_of(("no", "yes"), truth, *models))["auc"]
    # DeLong's structural components from the rows themselves
    components = []
    for model in models:
        above = (model[truth == 1, 1][:, None] > model[truth == 0, 1][None, :]).astype(float)
        components.append((above.mean(1), above.mean(0)))
    covariance = sum(np.cov(components[0][side], components[1][side]) / components[0][side].size for side in (0, 1))
    for estimate, variance in (
        (found.production, covariance[0, 0]),
        (found.staging, covariance[1, 1]),
        (found.difference, covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]),
    ):
        assert (estimate.high - estimate.low) / 2 == pytest.approx(1.959964 * np.sqrt(variance), rel=0.03)


def test_calibration_error_is_exact_and_its_interval_covers():
    truth, *models = two_classes(5_000, 11)
    found = measures(record_of(("no", "yes"), truth, *models))["calibration_error"]
    for side, model in zip(("production", "staging"), models, strict=True):
        assert getattr(found, side).value == pytest.approx(direct_error(model[:, 1], truth), abs=1e-9)
    # the bootstrap's spread is that of samples drawn again
    again = []
    for seed in range(100, 160):
        other, *drawn = two_classes(5_000, seed)
        again.append(direct_error(drawn[1][:, 1], other) - direct_error(drawn[0][:, 1], other))
    half = (found.difference.high - found.difference.low) / 2
    assert half == pytest.approx(1.96 * np.std(again), rel=0.35)


def test_intervals_of_paired_losses_are_the_paired_t_test_in_the_limit():
    truth, *models = two_classes(4_000, 2)
    losses = [-np.log(model[np.arange(4_000), truth]) for model in models]
    found: Measure = loss(record_of(("no", "yes"), truth, *models), "log_loss")
    expected = stats.ttest_rel(losses[1], losses[0]).confidence_interval(0.95)
    assert found.difference.low == pytest.approx(expected.low, rel=1e-3)
    assert found.difference.high == pytest.approx(expected.high, rel=1e-3)


def test_wilson_has_its_known_values():
    # Newcombe 1998, table I: 81 of 263, and 0 of 20
    estimate = wilson(81, 263)
    assert (round(estimate.low, 4), round(estimate.high, 4)) == (0.2553, 0.3662)
    assert (round(wilson(0, 20).low, 4), round(wilson(0, 20).high, 4)) == (0.0, 0.1611)


def test_quantiles_come_from_the_bins_they_fall_in():
    values = np.random.default_rng(1).normal(0.05, 0.2, 10_000).clip(-1, 1)
    histogram = np.bincount(bins.difference_bin(values), minlength=bins.DIFFERENCE_BINS)
    levels = (0.01, 0.25, 0.5, 0.75, 0.99)
    np.testing.assert_allclose(
        quantiles(histogram, bins.difference_edges(), levels), np.quantile(values, levels), atol=2e-3
    )
    # a gap between bins stays a gap: half of the rows lie at -0.5, half at 0.5
    apart = np.bincount(bins.difference_bin(np.repeat([-0.5, 0.5], 50)), minlength=bins.DIFFERENCE_BINS)
    assert quantiles(apart, bins.difference_edges(), (0.25, 0.75)) == pytest.approx([-0.5, 0.5], abs=1e-3)


def test_every_joint_bin_lies_within_one_tenth():
    middles = np.convolve(np.concatenate([[0], bins.JOINT_EDGES, [1]]), [0.5, 0.5], "valid")
    assert bins.calibration_bin(middles).tolist() == bins.joint_to_calibration().tolist()


def test_scores_bins_grow_with_the_score_and_their_centres_lie_in_them():
    found = bins.score_bin(bins.score_centres())
    told_apart = bins.score_centres() < 1 - 1e-12  # closer to 1 the doubles themselves are too far apart
    assert found[told_apart].tolist() == np.flatnonzero(told_apart).tolist()
    assert np.all(np.diff(found) >= 0)
    assert bins.score_bin(np.array([0.0, 1.0])).tolist() == [0, bins.SCORE_BINS - 1]


def test_overdispersion_is_one_for_independent_rows_and_grows_when_they_hang_together():
    random = np.random.default_rng(3)
    rows = random.integers(200, 800, 400)
    discordant = random.binomial(rows, 0.06)
    won = random.binomial(discordant, 0.6)
    assert overdispersion(won, discordant - won, rows) == pytest.approx(1, abs=0.2)
    together = np.where(random.random(400) < 0.6, discordant, 0)
    assert overdispersion(together, discordant - together, rows) > 10
    assert overdispersion(won[:1], (discordant - won)[:1], rows[:1]) is None
    assert overdispersion(np.zeros(5, int), np.zeros(5, int), rows[:5]) is None


def counted(**levels: tuple[int, int, int]) -> Levels:
    """level → (rows both had right, won, lost)."""
    return Levels({name: np.array([both + w + lo, both, both, lo, w, 0]) for name, (both, w, lo) in levels.items()})


def test_slices_that_stand_out_are_named_and_others_are_not():
    found = slices(
        [
            ("Class", counted(Eco=(900, 60, 10), Business=(900, 10, 70))),
            ("Age", counted(**{str(age): (90, 5, 4) for age in range(40)})),
            ("Wifi", Levels({})),
        ]
    )
    assert len(found) == 42
    assert (found[0].level, found[-1].level) == ("Business", "Eco")
    worst, best = extremes(found)
    assert [(each.column, each.level) for each in worst + best] == [("Class", "Business"), ("Class", "Eco")]
    assert worst[0].difference == pytest.approx(-60 / 980)
    assert slices([("Wifi", Levels({}))]) == ()


def test_false_discoveries_among_equal_slices_are_rare(monkeypatch):
    monkeypatch.setattr(clusters, "mcnemar", cache(mcnemar))  # of 40 there are but 41 outcomes
    random = np.random.default_rng(1)
    named = 0
    for _ in range(200):
        won = random.binomial(40, 0.5, 60)
        levels = counted(**{str(at): (900, int(count), 40 - int(count)) for at, count in enumerate(won)})
        named += any(isinstance(each, Slice) and each.found for each in slices([("a", levels)]))
    assert named / 200 <= 0.05
