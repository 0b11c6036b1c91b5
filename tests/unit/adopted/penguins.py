"""Rows as people have them: numbers with gaps, texts that were never seen, flags; and whether a model is served."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from models.training.estimators.answers import answers
from models.training.estimators.candidate import sklearn_candidate
from models.training.register import Candidate, RegistrationRefused, raw_columns

NUMBERS = ["bill length (mm)", "depth", "mass"]
TEXTS = ["island", "sex"]
ASKED = 600
SPECIES = np.array(["Adélie", "Chinstrap", "Gentoo"], dtype=object)


def penguins(rows: int, seed: int, *, gaps: bool = True, unknown: bool = False) -> tuple[pd.DataFrame, Any]:
    """Rows and their species; `gaps`: a tenth of most columns; `unknown`: a tenth of the texts were never seen."""
    random = np.random.default_rng(seed)
    species = random.integers(0, 3, rows)
    table = pd.DataFrame(
        {
            "bill length (mm)": np.round(random.normal(39 + 5 * species, 3), 1),
            "depth": np.round(random.normal(18 - 1.5 * species, 1), 1),
            "mass": random.normal(3700 + 600 * (species == 2), 300).astype(int).astype(float),
            "island": np.array(["Biscoe", "Dream", "Torgersen", "Île"], dtype=object)[
                np.minimum(random.integers(0, 3, rows) + (random.random(rows) < 0.3) * (species == 1), 3)
            ],
            "sex": np.where(random.random(rows) < 0.3 + 0.2 * species, "male", "female").astype(object),
            "tagged": random.random(rows) < 0.4 + 0.1 * species,
            "remark": [f"bird {number}" for number in range(rows)],
        }
    )
    if gaps:
        for name in (*NUMBERS, *TEXTS):
            table.loc[random.random(rows) < 0.1, name] = np.nan
    if unknown:
        for name in TEXTS:
            table.loc[random.random(rows) < 0.1, name] = "日本 (never seen)"
    return table, SPECIES[species]


TABLE, SPECIES_OF = penguins(500, 1)
WHOLE, SPECIES_OF_WHOLE = penguins(500, 2, gaps=False)
CODES = np.searchsorted(SPECIES, SPECIES_OF)
IS_GENTOO = (SPECIES_OF == "Gentoo").astype(int)
DRAWN, TWO = (TABLE, SPECIES_OF), (TABLE, IS_GENTOO)
LATER = penguins(ASKED, 3, unknown=True)[0].assign(  # what comes in files
    code=lambda table: table.island.map({"Biscoe": 0, "Dream": 3, "Torgersen": 7, "Île": 44}).where(
        table.depth < 19, -3
    ),
    few=np.arange(ASKED) % 4 - 1.0,
)


def rows_that_differ(estimator: Any, rows: pd.DataFrame, asked: pd.DataFrame = LATER) -> tuple[int, int, Candidate]:
    """On how many of the rows asked graph and estimator differ, which of them are answered, and the candidate.

    A row that both refuse is none that differs, and one in which a gap is an error is none that is answered.
    """
    candidate = sklearn_candidate(estimator, rows)
    asked = asked[list(rows)]
    own = answers(estimator, asked, rows)
    scores, refused = candidate.scorer.score_rows(raw_columns(asked, candidate.types))
    not_taken = np.array(asked[list(candidate.no_gaps)].isna().any(axis=1), dtype=bool)
    not_taken[list(refused)] = True
    not_taken |= ~np.isfinite(scores.probabilities).all(axis=1)  # an error of the row, too
    best = np.sort(own.probabilities, axis=1)
    draw = (best[:, -1] - best[:, -2]) < 2e-5
    off = ~(np.abs(scores.probabilities - own.probabilities).max(axis=1) <= 1e-5)
    differs = ~not_taken & (own.refused | off | (~draw & (scores.labels != own.labels)))
    return int(differs.sum()), int((~not_taken).sum()), candidate


def assert_served(estimator: Any, rows: pd.DataFrame, asked: pd.DataFrame = LATER, answered: int = 0) -> Candidate:
    """Equal on every row; on `answered` rows at least (by default on all) there is an answer."""
    differs, found, candidate = rows_that_differ(estimator, rows, asked)
    assert differs == 0
    assert found >= (answered or len(asked))
    return candidate


def said(estimator: Any, rows: Any) -> str:
    """The sentence by which it is refused; empty where it is served."""
    try:
        sklearn_candidate(estimator, rows)
    except RegistrationRefused as refusal:
        return str(refusal)
    return ""
