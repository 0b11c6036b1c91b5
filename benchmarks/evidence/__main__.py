"""Prints the tables of `docs/evidence.md`: how often evidence errs, and how soon it decides, by measure and unit."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
from pydantic import Field

from benchmarks.evidence.seen import MEASURES, difference, seen
from benchmarks.evidence.world import Tally, World, draw, equally_good
from edge.command import Command, main
from models.evidence.figures.sequence import shared_error

FILES, ROWS = 100, 100
TOGETHER = 0.3
SURER, BETTER = World(noise=0.4), World(noise=0.6)
BORNE = 0.01
CHALLENGERS = 3
# How a model with less noise is made as bad as the other: by saying too surely what it says, or by its threshold.
MADE_EQUAL = {
    "precision": ("threshold", (-3.0, 0.0)),
    "log-loss": ("scale", (1.0, 4.0)),
    "brier": ("scale", (1.0, 6.0)),
}
THRESHOLD = ("threshold", (0.0, 3.0))
GUARDED = (("log-loss", "recall"), ("log-loss", "accuracy"), ("brier", "f1"), ("brier", "precision"))


class Simulate(Command):
    """Prints the tables of docs/evidence.md: how often evidence errs, and how soon it decides, by measure and unit."""

    runs: int = Field(2_000, ge=1, description="comparisons per line")

    def run(self) -> int:
        """Simulates and prints; a few minutes on one core."""
        simulate(self.runs)
        return 0


def simulate(runs: int) -> None:
    """Each line of each table is printed as soon as it is there."""
    print(f"{runs:,} comparisons of {FILES} files of {ROWS} rows, looked at after every file")
    print(
        "| measure | unit | equal: decides | covers | uneven: decides | covers | better: covers | median rows | found |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for unit, together in (("row", 0.0), ("file", TOGETHER)):
        random = np.random.default_rng(17)
        equal = draw(random, World(together=together), runs, FILES, ROWS)
        better = draw(random, replace(BETTER, together=together), runs, FILES, ROWS)
        for measure in MEASURES:
            uneven = draw(random, uneven_world(measure, together), runs, FILES, ROWS)
            print(line(measure, unit, equal, uneven, better), flush=True)
    print(f"\nguards at their edge: worse by just the {100 * BORNE:g} point that is borne")
    print("| better by | guard | unit | measure decides | guard is met | promoted |")
    print("| --- | --- | --- | --- | --- | --- |")
    for unit, together in (("row", 0.0), ("file", TOGETHER)):
        for measure, guard in GUARDED:
            shares = at_the_edge(measure, guard, unit, together, runs)
            print(f"| {measure} | {guard} | {unit} | {' | '.join(f'{share:.2%}' for share in shares)} |", flush=True)
    print(f"\n{CHALLENGERS} challengers, each as good as production and looked at after every file")
    print("| measure | unit | any of them is said to be better |")
    print("| --- | --- | --- |")
    for unit, together in (("row", 0.0), ("file", TOGETHER)):
        for measure in MEASURES:
            print(f"| {measure} | {unit} | {any_promoted(measure, unit, together, runs):.2%} |", flush=True)


def any_promoted(measure: str, unit: str, together: float, runs: int) -> float:
    """The share of comparisons in which one of CHALLENGERS is falsely said to be better.

    They are drawn apart from each other: errors that hang together make it rarer.
    """
    random, error = np.random.default_rng(19), shared_error(CHALLENGERS)
    wrong = np.zeros(runs, dtype=bool)
    for _ in range(CHALLENGERS):
        wrong |= seen(measure, unit, draw(random, World(together=together), runs, FILES, ROWS), 0.0, error).decides(0)
    return float(wrong.mean())


def uneven_world(measure: str, together: float) -> World:
    """Staging errs otherwise than production, and is just as good by the measure."""
    field, between = MADE_EQUAL.get(measure, THRESHOLD)
    world = replace(SURER, together=together)
    return equally_good(world, lambda tally: difference(measure, tally), field, between)


def line(measure: str, unit: str, equal: Tally, uneven: Tally, better: Tally) -> str:
    """A line of the table."""
    truth = difference(measure, better)
    found = [seen(measure, unit, tally, mean) for tally, mean in ((equal, 0.0), (uneven, 0.0), (better, truth))]
    said = found[2].said[0]
    rows = np.where(found[2].decides(0), (said.argmax(axis=-1) + 1) * ROWS, np.inf)
    cells = [f"{share:.2%}" for each in found[:2] for share in (each.decides().mean(), 1 - each.misses().mean())]
    cells.append(f"{1 - found[2].misses().mean():.2%}")
    cells.append(f"{np.median(rows):,.0f}" if np.isfinite(np.median(rows)) else f"> {FILES * ROWS:,}")
    return f"| {measure} | {unit} | {' | '.join(cells)} | {np.isfinite(rows).mean():.0%} |"


def at_the_edge(measure: str, guard: str, unit: str, together: float, runs: int) -> tuple[float, float, float]:
    """Of a staging that is better by the measure, and as bad by the guard as is borne: the shares of comparisons in
    which the measure decides for it, the guard is said to be met, and both, which is the error."""
    field, between = MADE_EQUAL.get(guard, THRESHOLD)
    edge = equally_good(
        replace(SURER, together=together), lambda tally: difference(guard, tally) + BORNE, field, between
    )
    tally, error = draw(np.random.default_rng(18), edge, runs, FILES, ROWS), shared_error(2)
    better = seen(measure, unit, tally, 0.0, error).decides(0)
    met = seen(guard, unit, tally, -BORNE, error).misses(0)
    return float(better.mean()), float(met.mean()), float((better & met).mean())


if __name__ == "__main__":
    sys.exit(main("benchmarks.evidence", Simulate.__doc__ or "", {}, default=Simulate))
