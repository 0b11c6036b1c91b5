"""The naive loop: what a notebook does, with the models loaded once. `python -m benchmarks.scoring.naive MODELS`"""

from __future__ import annotations

import os
import sys

import pandas as pd

from benchmarks.scoring.kept import Models
from benchmarks.scoring.turns import take_turns


def main(models: Models) -> None:
    """Takes turns until its input ends."""

    def score(paths: list[str], folder: str) -> None:
        for path in paths:
            table = pd.read_csv(path)
            for name, answer in (("forest", models.forest), ("network", models.network)):
                models.write(table, answer(table), f"{folder}/{name}_{os.path.basename(path)}")

    take_turns(score)


if __name__ == "__main__":
    main(Models(sys.argv[1]))
