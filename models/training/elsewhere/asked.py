"""What a graph is asked before it becomes a version: the rows given and probes made from them, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from models.scoring.scorer import Scores
from models.training.estimators.probes import GAP, Probes, probes
from models.training.register import Candidate, raw_columns


@dataclass(frozen=True)
class Asked:
    """`columns` as `Scorer.score` takes them; `scores` of the N rows; `refused`: rows that the graph raised on."""

    columns: dict[str, np.ndarray[Any, Any]]
    scores: Scores
    refused: dict[int, str]

    @cached_property
    def answered(self) -> np.ndarray[Any, Any]:
        """The indices of the rows that have finite probabilities."""
        return np.flatnonzero(np.isfinite(self.scores.probabilities).all(axis=1))


def ask(candidate: Candidate, rows: pd.DataFrame) -> Asked:
    """Has the candidate score `rows` and probes: one row of zeros as an example says little."""
    made = _probes(candidate, rows)
    others = np.array([value != GAP for value in made.values])
    return _asked(candidate, pd.concat([rows, made.rows[others]], ignore_index=True))


def columns_without_gaps(candidate: Candidate, rows: pd.DataFrame) -> tuple[str, ...]:
    """The columns in which the graph takes no gap: it raises, or gives no probabilities. Whole numbers have none."""
    made = _probes(candidate, rows)
    gaps = [
        at
        for at, (name, value) in enumerate(zip(made.columns, made.values, strict=True))
        if value == GAP and candidate.types[name] != "long"
    ]
    answered = set(_asked(candidate, made.rows.iloc[gaps]).answered)
    return tuple(dict.fromkeys(made.columns[at] for place, at in enumerate(gaps) if place not in answered))


def _probes(candidate: Candidate, rows: pd.DataFrame) -> Probes:
    texts = [name for name, kind in candidate.types.items() if kind == "string"]
    return probes(rows[list(candidate.types)], texts, {})


def _asked(candidate: Candidate, rows: pd.DataFrame) -> Asked:
    columns = raw_columns(rows, candidate.types)
    return Asked(columns, *candidate.scorer.score_rows(columns))
