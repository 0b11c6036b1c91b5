"""A logged model becomes a version: loaded, put behind its preprocessing, converted, compared, registered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sklearn.pipeline import Pipeline

from models.registry.spec import METADATA_KEY
from models.training.adoption.examples import example_rows
from models.training.adoption.flavors import load
from models.training.adoption.preprocessing import load_steps
from models.training.adoption.source import Logged
from models.training.estimators.candidate import sklearn_candidate
from models.training.estimators.named import Named
from models.training.register import RegistrationRefused, register
from models.training.tracking import Tracking


@dataclass(frozen=True)
class Wanted:
    """What the logged model does not say; None or empty where it does, or where the default is right.

    `classes`: in the order of the probabilities; `columns`: the raw inputs in order; `example`: a CSV of raw rows;
    `preprocess`: a pickle of what stands before the model.
    """

    classes: Sequence[str] = ()
    positive: str | None = None
    columns: Sequence[str] | None = None
    id_column: str | None = None
    label_column: str | None = None
    example: Path | None = None
    preprocess: Path | None = None


@dataclass(frozen=True)
class Adopted:
    """The new version, and on how many rows beside its probes it was found equal to what it was adopted from."""

    version: str
    rows: int


def adopt(logged: Logged, flavor: str, wanted: Wanted, tracking: Tracking, model: str) -> Adopted:
    """Registers the model `logged` as a new version of `model`. **Runs code out of its files**, and of `preprocess`.

    Raises RegistrationRefused, with what is lacking by name; nothing is registered then.
    """
    steps = [] if wanted.preprocess is None else load_steps(wanted.preprocess)
    estimator = _named(load(logged, flavor, wanted.classes), wanted.classes)
    if steps:
        estimator = Pipeline([*steps, ("model", estimator)])
    rows = example_rows(logged, estimator, wanted.example, wanted.columns, is_raw=not steps)
    candidate = sklearn_candidate(
        estimator,
        rows,
        columns=wanted.columns,
        positive=wanted.positive,
        id_column=wanted.id_column,
        label_column=wanted.label_column,
    )
    tags = {"adopted_from": logged.reference, "adopted_flavor": flavor, "adopted_who": logged.who}
    tags = {f"{METADATA_KEY}.{name}": text for name, text in tags.items() if text}
    parameters = {"estimator": candidate.kind, "adopted_from": logged.reference}
    with tracking.run(f"adopt {candidate.kind}", parameters, {"kind": candidate.kind}):
        return Adopted(register(candidate, rows, tracking, model, tags), len(rows))


def _named(estimator: Any, classes: Sequence[str]) -> Any:
    """The estimator under the names `classes`, where it has only numbers for them. Raises RegistrationRefused."""
    own = [str(label) for label in getattr(estimator, "classes_", ())]
    if not classes or own == list(classes):
        return estimator
    if own != [str(place) for place in range(len(classes))]:
        raise RegistrationRefused(
            f"--classes says {', '.join(classes)}, and the model has {', '.join(own)}: only classes that are numbered "
            f"0, 1, … get other names; leave the option out"
        )
    return Named(estimator, tuple(classes))
