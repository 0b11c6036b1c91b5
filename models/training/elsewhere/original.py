"""A graph as it was given, run by onnxruntime as its owner would: what a version made of it must answer too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx

from models.onnx.given.classes import label_numbers, own_classes
from models.onnx.given.outputs import find_outputs
from models.registry.spec import UnfitModel
from models.scoring.session import DTYPES, first_line, open_session
from models.training.elsewhere.asked import Asked
from models.training.register import Candidate, RegistrationRefused

TOLERANCE = 1e-6
BLOCK = 1024  # rows; a graph of so many at a time is given those

Array = np.ndarray[Any, Any]


def refuse_other_answers(model: onnx.ModelProto, candidate: Candidate, asked: Asked) -> None:
    """Raises RegistrationRefused where `candidate` answers otherwise than the graph that it was made from.

    Labels of draws aside.
    """
    rows = asked.answered
    texts, found = asked.scores.labels[rows], asked.scores.probabilities[rows]
    try:
        labels, expected = _answers(
            model, candidate, [asked.columns[name][rows] for name in candidate.types], len(rows)
        )
    except UnfitModel as error:
        raise RegistrationRefused(str(error)) from None
    except Exception as error:  # onnxruntime's own errors have no base of theirs
        raise RegistrationRefused(
            f"the graph as it lies in the file cannot score the rows that it is checked with: {first_line(error)}"
        ) from error
    one = candidate.classes.index(candidate.positive) if candidate.positive in candidate.classes else 1
    compared = found[:, [one]] if expected.shape[1] == 1 else found
    best = np.sort(found, axis=1)
    is_sure = best[:, -1] - best[:, -2] > 2 * TOLERANCE
    other = np.full(len(rows), False) if labels is None else is_sure & (labels != texts)
    wrong = np.flatnonzero(other | ~(np.abs(compared - expected) <= TOLERANCE).all(axis=1))
    if wrong.size:
        row = wrong[0]
        raise RegistrationRefused(
            f"in the form that workers serve the graph answers otherwise than in the file on {wrong.size} of "
            f"{len(rows)} rows: {texts[row]!r} {found[row].tolist()} and {'' if labels is None else repr(labels[row])} "
            f"{expected[row].tolist()}"
        )


def batch_of(model: onnx.ModelProto) -> int | None:
    """How many rows the graph says that it takes at a time; None: any number."""
    fixed = {tensor.name for tensor in model.graph.initializer}
    sizes = [one.type.tensor_type.shape.dim[:1] for one in model.graph.input if one.name not in fixed]
    return next((int(size[0].dim_value) for size in sizes if size and size[0].dim_value), None)


def _answers(
    model: onnx.ModelProto, candidate: Candidate, columns: Sequence[Array], rows: int
) -> tuple[Array | None, Array]:
    """Labels [N] as the classes' texts, None where it gives none, and probabilities [N, K] or [N, 1]."""
    session = open_session(model.SerializeToString(), f"the {candidate.kind} graph as it lies in the file")
    outputs = find_outputs(model, len(candidate.classes))
    wanted = [outputs.answer] + ([] if outputs.label is None else [outputs.label])
    feeds = _feeds(session.get_inputs(), columns)
    size = batch_of(model) or min(BLOCK, rows)
    parts = []
    for start in range(0, rows, size):
        block = np.minimum(np.arange(start, start + size), rows - 1)  # filled up with the last row
        found = session.run(wanted, {name: cells[block] for name, cells in feeds.items()})
        parts.append([one[: rows - start] for one in found])
    answers, *labels = ([row for part in parts for row in part[at]] for at in range(len(wanted)))
    if outputs.answer != outputs.probabilities:
        answers = [[row[name] for name in own_classes(model) or ()] for row in answers]
    probabilities = np.array(answers, dtype=np.float32).reshape(rows, -1)
    if not labels:
        return None, probabilities
    names: Mapping[Any, str] = {}
    if outputs.is_number:
        names = dict(zip(label_numbers(model, candidate.classes), candidate.classes, strict=True))
    return np.array([names.get(label, str(label)) for label in labels[0]], dtype=object), probabilities


def _feeds(inputs: Sequence[Any], columns: Sequence[Array]) -> dict[str, Array]:
    """The columns [N] as the graph takes them: each for itself, [N] or [N, 1], or all in one matrix [N, F]."""
    if len(inputs) == 1 and len(inputs[0].shape) == 2:
        return {inputs[0].name: np.column_stack(columns).astype(DTYPES[inputs[0].type])}
    return {
        one.name: column.astype(DTYPES[one.type]).reshape(-1, *(1,) * (len(one.shape) - 1))
        for one, column in zip(inputs, columns, strict=True)
    }
