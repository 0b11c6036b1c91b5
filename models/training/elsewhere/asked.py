"""What a graph is asked before it becomes a version: the rows given and probes made from them, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from models.scoring.scorer import Scores
from models.training.estimators.probes import GAP, probes
from models.training.register import Candidate, raw_columns


@dataclass(frozen=True)
class Asked:
    """`columns` as `Scorer.score` takes them; `scores` of the N rows, and which of them the graph refused."""

    columns: dict[str, np.ndarray[Any, Any]]
    scores: Scores
    refused: dict[int, str]

    @cached_property
    def is_answered(self) -> np.ndarray[Any, Any]:
        """[N]."""
        found = np.full(len(self.scores.labels), True)
        found[list(self.refused)] = False
        return found


def ask(candidate: Candidate, rows: pd.DataFrame) -> Asked:
    """Has the candidate score `rows` and probes: one row of zeros as an example says little."""
    texts = [name for name, kind in candidate.types.items() if kind == "string"]
    made = probes(rows[list(candidate.types)], texts, {})
    no_gaps = np.array([value != GAP for value in made.values])  # whole numbers have none
    columns = raw_columns(pd.concat([rows, made.rows[no_gaps]], ignore_index=True), candidate.types)
    return Asked(columns, *candidate.scorer.score_rows(columns))
