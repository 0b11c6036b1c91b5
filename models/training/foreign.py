"""An ONNX graph from elsewhere becomes a version."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import onnx
import pandas as pd
from google.protobuf.message import DecodeError

from models.onnx.given.classes import agreed_classes, own_classes
from models.onnx.given.sound import UnfitGraph, refuse_unsound
from models.onnx.serving_form import input_columns, serving_form
from models.registry.spec import UnfitModel
from models.training.baseline import training_profile
from models.training.elsewhere.asked import ask, columns_without_gaps
from models.training.elsewhere.label_order import refuse_other_order
from models.training.elsewhere.original import batch_of, refuse_other_answers
from models.training.register import Candidate, RegistrationRefused, register
from models.training.rows import read_rows
from models.training.shown import shown_texts
from models.training.tracking import Tracking

PROFILE_ROWS = 500  # fewer rows say little of how a column is spread


def foreign_candidate(
    path: Path,
    *,
    classes: Sequence[str] | None = None,
    positive: str | None = None,
    columns: Sequence[str] | None = None,
    id_column: str | None = None,
    label_column: str | None = None,
    example: Path | None = None,
) -> tuple[Candidate, pd.DataFrame]:
    """What the graph at `path` becomes, and the rows it was checked with; `serving_form` says which graphs do.

    `classes` in the order of the probabilities; None where the graph says them itself, see `own_classes`.
    `example`: a CSV of raw rows, with each text that the model knows. The first ones are what a worker checks the
    version with before it serves, and from PROFILE_ROWS rows on they are also what drift is measured against. Without
    it the example is one row of gaps and zeros. `positive`: the class whose probability is written where there are two,
    by default the second. On these rows and on probes made from them the candidate answers as the graph in the file
    does. Rows with a gap in a column in which the graph takes none are left out: a worker refuses such.

    Raises UnfitGraph, RegistrationRefused, BadRows.
    """
    given = _load(path)
    classes = agreed_classes(given, classes)
    positive = None if positive is None else str(positive)
    if positive is not None and positive not in classes:
        raise UnfitGraph(f"the positive class {positive!r} is none of {', '.join(classes)}")
    form = serving_form(given, classes, positive=positive, columns=columns)
    types = input_columns(form)
    if example is None:
        rows = pd.DataFrame({name: ["" if kind == "string" else 0.0] for name, kind in types.items()})
    else:
        rows = read_rows(example, types)
    candidate = Candidate(
        kind=path.stem,
        graph=form,
        classes=classes,
        positive=positive if positive is not None or len(classes) > 2 else classes[1],
        id_column=id_column,
        label_column=label_column,
        profile=training_profile(rows, types) if len(rows) >= PROFILE_ROWS else {},
        texts=None if example is None else shown_texts(rows, types),
    )
    candidate, rows = _without_gaps(candidate, rows)
    _check(candidate, given, rows)
    return candidate, rows


def register_foreign(candidate: Candidate, rows: pd.DataFrame, file: Path, tracking: Tracking, model: str) -> str:
    """Registers what `foreign_candidate` made of `file` as a new version of `model`; gives the version.

    Raises RegistrationRefused.
    """
    parameters = {"file": file.name, "classes": ", ".join(candidate.classes)}
    with tracking.run(f"register {file.name}", parameters, {"kind": candidate.kind}):
        return register(candidate, rows, tracking, model, {})


def _without_gaps(candidate: Candidate, rows: pd.DataFrame) -> tuple[Candidate, pd.DataFrame]:
    """The candidate with the columns named in which it takes no gap, and the rows that have none there."""
    try:
        closed = columns_without_gaps(candidate, rows)
    except UnfitModel as error:
        raise RegistrationRefused(str(error)) from None
    has_gap = (rows[list(closed)].isna() | (rows[list(closed)] == "")).any(axis=1)
    if has_gap.all():
        raise RegistrationRefused(
            f"the graph takes no gaps in the columns {', '.join(closed)}, and each row of --example has one: give some "
            f"without"
        )
    return replace(candidate, no_gaps=closed), rows[~has_gap].reset_index(drop=True)


def _check(candidate: Candidate, given: onnx.ModelProto, rows: pd.DataFrame) -> None:
    try:
        candidate.score(rows)
    except RegistrationRefused as error:
        batch = batch_of(given)
        hint = f"; the graph says that it takes {batch} rows at a time: export it for any number" if batch else ""
        raise RegistrationRefused(f"{error}{hint}") from None
    asked = ask(candidate, rows)
    refuse_other_order(candidate, asked, names_itself=own_classes(given) is not None)
    refuse_other_answers(given, candidate, asked)


def _load(path: Path) -> onnx.ModelProto:
    if not path.is_file():
        raise UnfitGraph(f"{path} does not exist")
    try:
        given = onnx.load(path, load_external_data=False)
    except DecodeError:
        raise UnfitGraph(
            f"{path} is no ONNX file; a fitted scikit-learn classifier is registered with models.register_sklearn"
        ) from None
    refuse_unsound(given)
    return given
