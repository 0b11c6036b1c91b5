"""Simulated comparisons of two models with two classes: their errors hang together, and so do rows of a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.evidence.record.judged import CLIP

Floats = NDArray[Any]
COSTS = np.array([[0.0, 1.0], [5.0, -2.0]])  # the true class by the predicted one
NOISE, SHARED = 0.8, 0.5  # of production's logits; the share of it that staging's have in common
_CHUNK = 400_000  # rows that are drawn at once
SOLVED_ON = 1_500_000


@dataclass(frozen=True)
class World:
    """`noise`: of staging's logits, production's is NOISE; `scale`: above 1 staging is too sure of itself; `threshold`:
    the logit from which on staging says 1; `together`: spread of what the rows of one file have in common, by model."""

    noise: float = NOISE
    scale: float = 1.0
    threshold: float = 0.0
    together: float = 0.0


@dataclass(frozen=True)
class Tally:
    """Of R comparisons in F files: `cells` [R, F, 8] rows by true class, production's and staging's; sums of
    production's loss minus staging's and of its squares [R, F], by `log-loss` and `brier`."""

    cells: Floats
    losses: dict[str, tuple[Floats, Floats]]

    @property
    def rows(self) -> Floats:
        return np.asarray(self.cells.sum(axis=-1))


def draw(random: np.random.Generator, world: World, runs: int, files: int, rows: int) -> Tally:
    """`runs` comparisons of `files` files of `rows` rows."""
    step = max(1, _CHUNK // (files * rows))
    parts = [_drawn(random, world, min(step, runs - at), files, rows) for at in range(0, runs, step)]
    losses = {
        name: tuple(np.concatenate([part.losses[name][at] for part in parts]) for at in range(2))
        for name in parts[0].losses
    }
    return Tally(np.concatenate([part.cells for part in parts]), losses)  # type: ignore[arg-type]


def _drawn(random: np.random.Generator, world: World, runs: int, files: int, rows: int) -> Tally:
    shape = (runs, files, rows)
    known, first, second = (random.standard_normal(shape, dtype=np.float32) for _ in range(3))
    known = 1.5 * known - 0.5
    truth = random.random(shape, dtype=np.float32) < _sigmoid(known)
    logits = [known + NOISE * first, known + world.noise * (SHARED * first + np.sqrt(1 - SHARED**2) * second)]
    if world.together:
        logits = [each + random.normal(0, world.together, (runs, files, 1)).astype(np.float32) for each in logits]
    logits[1] = world.scale * logits[1]
    answers = logits[0] > 0, logits[1] > world.threshold
    code = 4 * truth + 2 * answers[0] + answers[1]
    cells = np.stack([(code == cell).sum(axis=-1) for cell in range(8)], axis=-1).astype(np.float64)
    right = [np.where(truth, _sigmoid(each), _sigmoid(-each)).astype(np.float64) for each in logits]
    losses = {}
    for name, loss in (("log-loss", _log_loss), ("brier", _brier)):
        difference = loss(right[0]) - loss(right[1])
        losses[name] = difference.sum(axis=-1), np.square(difference).sum(axis=-1)
    return Tally(cells, losses)


def equally_good(world: World, difference: Callable[[Tally], float], field: str, between: tuple[float, float]) -> World:
    """The world in which `field` is such that the difference is nought, found on SOLVED_ON rows by bisection."""
    low, high = between

    def at(value: float) -> tuple[World, float]:
        tried = replace(world, **{field: value})
        return tried, difference(draw(np.random.default_rng(0), tried, 1, 40, SOLVED_ON // 40))

    if not at(low)[1] * at(high)[1] < 0:
        raise ValueError(f"the models are not equally good for any {field} between {between}")
    rising = at(high)[1] > 0
    for _ in range(14):
        middle = (low + high) / 2
        low, high = (low, middle) if (at(middle)[1] > 0) == rising else (middle, high)
    return at((low + high) / 2)[0]


def _log_loss(right: Floats) -> Floats:
    return np.asarray(-np.log(np.clip(right, CLIP, 1 - CLIP)))


def _brier(right: Floats) -> Floats:
    return np.asarray(np.square(1 - right))


def _sigmoid(logit: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-logit)))
