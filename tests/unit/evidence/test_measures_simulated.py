"""What is promised of every measure, over few simulated comparisons; `python -m benchmarks.evidence` takes 2,000.

The seed is fixed: each figure is one draw of RUNS comparisons.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.evidence.seen import MEASURES, difference, seen
from benchmarks.evidence.world import Tally, World, draw
from models.evidence.figures.sequence import ERROR

RUNS, FILES, ROWS = 400, 50, 60
TOGETHER = {"row": 0.0, "file": 0.3}


@pytest.fixture(scope="module")
def drawn() -> dict[str, tuple[Tally, Tally]]:
    """By unit: two equally good models, and a better staging."""
    random = np.random.default_rng(3)
    worlds = (World(), World(noise=0.3))
    return {
        unit: tuple(draw(random, replace(world, together=together), RUNS, FILES, ROWS) for world in worlds)  # type: ignore[misc]
        for unit, together in TOGETHER.items()
    }


@pytest.mark.parametrize("unit", ["row", "file"])
@pytest.mark.parametrize("measure", MEASURES)
def test_equal_models_are_hardly_ever_told_apart_and_bounds_hold_at_every_look(
    drawn: dict[str, tuple[Tally, Tally]], measure: str, unit: str
) -> None:
    equal, better = drawn[unit]

    assert seen(measure, unit, equal, 0.0).decides().mean() <= ERROR
    assert seen(measure, unit, equal, 0.0).misses().mean() <= ERROR
    found = seen(measure, unit, better, difference(measure, better))
    assert found.misses().mean() <= ERROR
    assert found.decides(1).mean() <= ERROR / 2


@pytest.mark.parametrize("measure", ["log-loss", "brier"])
def test_probabilities_tell_sooner_than_answers_which_model_is_better(
    drawn: dict[str, tuple[Tally, Tally]], measure: str
) -> None:
    _, better = drawn["row"]
    assert seen(measure, "row", better, 0.0).decides(0).mean() > seen("accuracy", "row", better, 0.0).decides(0).mean()


def test_losses_that_are_rare_and_large_on_one_side_are_no_evidence_by_file() -> None:
    # given files of ten rows, in which staging is a little better in most rows, and much worse in few: equally good
    from models.evidence.figures.measures.asymptotic import asymptotic_looks
    from models.evidence.figures.measures.losses import loss_moments

    random = np.random.default_rng(5)
    decided = 0
    for _ in range(RUNS):
        sums = np.where(random.random((200, 10)) < 0.05, -1.9, 0.1).sum(axis=1)
        rows = np.full(200, 10)
        looks = asymptotic_looks("file", rows, loss_moments(sums, rows), ERROR, 6.9)
        decided += bool(np.any(looks.low > 0) or np.any(looks.high < 0))
    # then hardly any is decided, where bets on each file's balance would find staging better in nearly all
    assert decided / RUNS <= ERROR
