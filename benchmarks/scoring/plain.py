"""The plain loop: the worker's own steps in one process, for production and then for staging, and nothing around them.

`python -m benchmarks.scoring.plain REGISTRY CACHE MODEL`
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from benchmarks.scoring.turns import take_turns
from models.registry.client import PRODUCTION, STAGING, Registry
from models.scoring.scorer import Scorer
from worker.scoring import write
from worker.scoring.predict import Stopwatch, predict


def main(registry: str, cache: str, model: str) -> None:
    """Takes turns until its input ends."""
    asked = Registry(registry, model)
    aliases, scorers = asked.aliases(), {}
    for alias in (PRODUCTION, STAGING):
        version = asked.fetch(aliases[alias], Path(cache))
        scorers[alias] = Scorer(version.graph.read_bytes(), version.spec)
        scorers[alias].prepare()

    def score(paths: list[str], folder: str) -> None:
        for path in paths:
            for alias, scorer in scorers.items():
                _score(path, scorer, f"{folder}/{alias}_{os.path.basename(path)}")

    take_turns(score)


def _score(path: str, scorer: Scorer, output: str) -> None:
    with open(path, "rb") as stream, open(output, "wb") as out:
        out.write(write.header(scorer.spec))
        for part in predict(stream, scorer, Stopwatch()):
            out.write(write.rows(scorer.spec, part))


if __name__ == "__main__":
    main(*sys.argv[1:])
