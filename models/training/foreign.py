"""An ONNX graph from elsewhere becomes a version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx
import pandas as pd
from google.protobuf.message import DecodeError

from models.onnx.serving_form import UnfitGraph, input_columns, serving_form
from models.training.baseline import training_profile
from models.training.label_order import refuse_other_order
from models.training.register import Candidate, register
from models.training.rows import read_rows
from models.training.shown import shown_texts
from models.training.tracking import Tracking

PROFILE_ROWS = 500  # fewer rows say little of how a column is spread


def register_file(
    path: Path,
    tracking: Tracking,
    model: str,
    *,
    classes: Sequence[str],
    positive: str | None = None,
    columns: Sequence[str] | None = None,
    id_column: str | None = None,
    label_column: str | None = None,
    example: Path | None = None,
    tags: Mapping[str, str] | None = None,
) -> str:
    """Registers the self-contained graph at `path`, see `serving_form` for its inputs and outputs; gives the version.

    `example`: a CSV of raw rows, with each text that the model knows. The first ones are what a worker checks the
    version with before it serves, and from PROFILE_ROWS rows on they are also what drift is measured against. Without
    it the example is one row of gaps and zeros. `positive`: the class whose probability is written where there are two,
    by default the second. Raises UnfitGraph, RegistrationRefused, BadRows.
    """
    if len(set(classes)) < 2 or len(set(classes)) < len(classes):
        raise UnfitGraph(f"two or more different classes are needed, in the order of the probabilities: {classes}")
    classes = tuple(map(str, classes))
    positive = None if positive is None else str(positive)
    if positive is not None and positive not in classes:
        raise UnfitGraph(f"the positive class {positive!r} is none of {', '.join(classes)}")
    form = serving_form(_load(path), classes, positive=positive, columns=columns)
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
    candidate.score(rows)
    refuse_other_order(candidate, rows)
    parameters = {"file": path.name, "classes": ", ".join(classes)}
    with tracking.run(f"register {path.name}", parameters, {"kind": candidate.kind}):
        return register(candidate, rows, tracking, model, tags or {})


def _load(path: Path) -> onnx.ModelProto:
    if not path.is_file():
        raise UnfitGraph(f"{path} does not exist")
    try:
        return onnx.load(path, load_external_data=False)
    except DecodeError:
        raise UnfitGraph(
            f"{path} is no ONNX file; a fitted scikit-learn classifier is registered with models.register_sklearn"
        ) from None
