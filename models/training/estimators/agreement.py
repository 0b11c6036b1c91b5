"""Whether a graph answers as its estimator does: on the rows given, and on probes made from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from models.onnx.conversion.probable import probable
from models.onnx.decision import Decision
from models.training.estimators.answers import EstimatorAnswers, answers
from models.training.estimators.inputs import is_numeric
from models.training.estimators.probes import GAP, Probes, gaps_together, probes
from models.training.estimators.rule import ADVICE
from models.training.estimators.thresholds import thresholds
from models.training.register import Candidate, RegistrationRefused, raw_columns

NAMED = 3
SAME = 1e-9  # how far a sum in doubles may be off


@dataclass(frozen=True)
class Compared:
    """Where a graph and its estimator part on N rows: `differs` and `graph_refuses` [N]."""

    differs: np.ndarray[Any, Any]
    graph_refuses: np.ndarray[Any, Any]
    answers: EstimatorAnswers
    probabilities: np.ndarray[Any, Any]


def columns_without_gaps(
    candidate: Candidate, estimator: Any, rows: pd.DataFrame, decision: Decision, tolerance: float
) -> tuple[str, ...]:
    """The columns in which a gap must be an error, since graph and estimator part on it.

    Raises RegistrationRefused where they part on anything else: a row given, or what a probe put into a column.
    """
    texts = [name for name, kind in candidate.types.items() if kind == "string"]
    booleans = [name for name, nothing_else in candidate.flags.items() if nothing_else]
    others = [*texts, *booleans]

    def compared(asked: pd.DataFrame) -> Compared:
        found = _compared(candidate, estimator, asked, rows, decision, tolerance)
        _refuse_other_rule(found.answers, candidate.classes, decision)
        return found

    no_numbers = [str(name) for name in rows if name in others or name not in candidate.types]
    special = thresholds(probable(estimator), rows, no_numbers)
    made = probes(rows, texts, special, booleans, list(candidate.types))
    _refuse_what_the_graph_passes_over(candidate, compared, rows, others)
    found = compared(made.rows)
    of_gap = np.array([value == GAP for value in made.values])
    closed = tuple(dict.fromkeys(made.columns[at] for at in np.flatnonzero(found.differs & of_gap)))
    _refuse(candidate, compared, rows, rows[list(closed)].isna().any(axis=1).to_numpy(bool), tolerance)
    other = np.flatnonzero(found.differs & ~of_gap)
    if other.size:
        raise RegistrationRefused(_parted(candidate, made, found, other))
    open_to_gaps = [name for name in candidate.types if name not in closed]
    if open_to_gaps:
        together = gaps_together(rows, others, open_to_gaps)
        also = compared(together.rows)
        if also.differs.any():
            raise RegistrationRefused(_parted(candidate, together, also, np.flatnonzero(also.differs)))
    return closed


def _refuse_what_the_graph_passes_over(
    candidate: Candidate, compared: Callable[[pd.DataFrame], Compared], rows: pd.DataFrame, others: Sequence[str]
) -> None:
    """Raises RegistrationRefused where the estimator looks at a column that is no input of the graph."""
    left = [str(name) for name in rows if name not in candidate.types]
    if not left:
        return
    words = [name for name in left if not is_numeric(rows[name])]
    made = probes(rows, [*others, *words], {}, columns=left)
    found = compared(made.rows)
    if found.differs.any():
        raise RegistrationRefused(_parted(candidate, made, found, np.flatnonzero(found.differs)))


def _compared(
    candidate: Candidate, estimator: Any, rows: pd.DataFrame, given: pd.DataFrame, decision: Decision, tolerance: float
) -> Compared:
    own = answers(estimator, rows, given)
    scores, refused = candidate.scorer.score_rows(raw_columns(rows, candidate.types))
    graph_refuses = np.zeros(len(rows), dtype=bool)
    graph_refuses[list(refused)] = True
    graph_refuses |= ~np.isfinite(scores.probabilities).all(axis=1)
    with np.errstate(invalid="ignore"):
        off = np.abs(scores.probabilities - own.probabilities).max(axis=1) > tolerance
        other = (scores.labels != own.labels) & ~decision.is_close(own.probabilities, tolerance)
    # A row that the graph refuses is an error in its place; one that only the estimator refuses would be answered.
    differs = ~graph_refuses & (own.refused | off | other)
    return Compared(differs, graph_refuses, own, scores.probabilities)


def _refuse(
    candidate: Candidate,
    compared: Callable[[pd.DataFrame], Compared],
    rows: pd.DataFrame,
    passed_over: np.ndarray[Any, Any],
    tolerance: float,
) -> None:
    """Raises RegistrationRefused for the rows given; `passed_over`: [N] True where a gap makes the row an error."""
    found = compared(rows)
    refused = np.flatnonzero(found.answers.refused & ~passed_over)
    if refused.size:
        raise RegistrationRefused(
            f"the estimator itself gives no answer for {refused.size} of the rows given, first for row "
            f"{refused[0] + 1} ({found.answers.said}): give rows that it can score"
        )
    odd = (found.differs | found.graph_refuses) & ~passed_over
    wrong = np.flatnonzero(odd)
    if wrong.size:
        row = int(wrong[0])
        agreeing = np.flatnonzero(~odd & ~passed_over)
        blamed = _columns_at_fault(compared, rows, row, int(agreeing[0])) if agreeing.size else ""
        raise RegistrationRefused(
            f"the {candidate.kind} graph and its estimator differ on {wrong.size} of {len(rows)} rows (first on row "
            f"{row + 1}{blamed}: {found.probabilities[row].tolist()} and {found.answers.probabilities[row].tolist()}, "
            f"tolerance {tolerance}): fit it without that column, or with another step for it; as it is, the graph "
            f"would serve other predictions than were tested"
        )


def _columns_at_fault(compared: Callable[[pd.DataFrame], Compared], rows: pd.DataFrame, row: int, agreeing: int) -> str:
    """The columns of a row, each of which alone makes it one that both agree on, with the cell of a row that is one."""
    tried = pd.concat([rows.iloc[[row]]] * len(rows.columns), ignore_index=True)
    for at, name in enumerate(rows.columns):
        tried.loc[at, name] = rows[name].iloc[agreeing]
    found = compared(tried)
    at_fault = np.flatnonzero(~(found.differs | found.graph_refuses))
    cells = [f"{rows.columns[at]!r} with {_shown(rows.iloc[row, at])} in it" for at in at_fault[:NAMED]]
    return f", by {', '.join(cells)}" if cells else ""


def _shown(cell: Any) -> str:
    return GAP if pd.isna(cell) else repr(cell.item() if isinstance(cell, np.generic) else cell)


def _refuse_other_rule(own: EstimatorAnswers, classes: tuple[str, ...], decision: Decision) -> None:
    """Whatever the graph says: what the estimator answers must follow from its probabilities."""
    decided = decision.labels(own.probabilities, classes)
    wrong = np.flatnonzero(~own.refused & (own.labels != decided) & ~decision.is_close(own.probabilities, SAME))
    if wrong.size:
        row = int(wrong[0])
        raise RegistrationRefused(
            f"the estimator predicts {own.labels[row]!r} where its own probabilities, "
            f"{own.probabilities[row].tolist()} of {', '.join(map(repr, classes))}, are for {decided[row]!r}: it "
            f"decides by another rule, which a version cannot serve; {ADVICE}"
        )


def _parted(candidate: Candidate, made: Probes, found: Compared, at: np.ndarray[Any, Any]) -> str:
    by_column = Counter(made.columns[index] for index in at)
    told = []
    for name, count in by_column.most_common(NAMED):
        index = next(index for index in at if made.columns[index] == name)
        theirs = "refuses the row" if found.answers.refused[index] else found.answers.probabilities[index].tolist()
        told.append(
            f"{name!r} with {made.values[index]} in it ({count} probes; the graph gives "
            f"{found.probabilities[index].tolist()}, the estimator {theirs})"
        )
    return (
        f"the {candidate.kind} graph and its estimator part on {'; '.join(told)}: fit it without that column, or with "
        f"another step for it (for texts an encoder with handle_unknown)"
    )
