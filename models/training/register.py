"""One graph becomes one version: compared with its estimator, written with all that a worker reads, and read back."""

from __future__ import annotations

import hashlib
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd

from models.evidence.record.sketch import Sketch
from models.onnx.serving_form import input_columns
from models.registry.client import Registry, RegistryUnreachable
from models.registry.spec import (
    GRAPH_FILE,
    LABEL_OUTPUT,
    MEMORY_TAG,
    METADATA_KEY,
    PROBABILITIES_OUTPUT,
    SHA256_TAG,
    SPEC_FILE,
    Column,
    ModelSpec,
    UnfitModel,
)
from models.scoring.scorer import Scorer, Scores
from models.scoring.session import first_line
from models.scoring.table.gaps import trimmed
from models.training.footprint import memory_bytes
from models.training.tracking import Tracking

EXAMPLE_ROWS = 16
TOLERANCE = 1e-5  # between float32 sums in the graph and the estimator's own
REQUIREMENTS = ("onnxruntime", "numpy")


class RegistrationRefused(Exception):
    """Nothing was registered; the text says why and what to do."""


@dataclass(frozen=True)
class Candidate:
    """What is to be registered: a graph in serving form, and what the graph cannot say.

    `positive`: the class whose probability workers write where there are two; `texts`: what `shown` gives, None where
    nothing is known of the training data; `flags`: columns of numbers for which true and false may stand, and
    whether nothing else may; `no_gaps`: columns in which a gap is an error; `training_ids`,
    `training_sha256`: of the rows and the file that it was fitted on, where they are known.
    """

    kind: str
    graph: onnx.ModelProto
    classes: tuple[str, ...]
    positive: str | None = None
    id_column: str | None = None
    label_column: str | None = None
    profile: Mapping[str, Any] = field(default_factory=dict)
    texts: Mapping[str, Sequence[str] | None] | None = None
    flags: Mapping[str, bool] = field(default_factory=dict)
    no_gaps: tuple[str, ...] = ()
    training_ids: Sketch | None = None
    training_sha256: str = ""

    @cached_property
    def types(self) -> Mapping[str, str]:
        """Column → its type in the signature."""
        return input_columns(self.graph)

    @cached_property
    def scorer(self) -> Scorer:
        """The scorer that will serve it. Raises UnfitModel."""
        whole = {"long"}
        columns = tuple(Column(name, kind == "string", kind in whole) for name, kind in self.types.items())
        spec = ModelSpec(f"the {self.kind} graph", "(not registered yet)", "", columns, self.classes, self.positive)
        return Scorer(self.graph.SerializeToString(), spec)

    def score(self, rows: pd.DataFrame) -> Scores:
        """The graph's answers on raw rows. Raises RegistrationRefused where it gives none, or no probabilities."""
        missing = [name for name in self.types if name not in rows.columns]
        if missing:
            raise RegistrationRefused(f"the rows to check the graph with lack the columns {', '.join(missing)}")
        try:
            scores = self.scorer.score(raw_columns(rows, self.types))
        except (UnfitModel, ValueError, TypeError) as error:
            raise RegistrationRefused(str(error)) from None
        except Exception as error:  # onnxruntime's own errors have no base of theirs
            raise RegistrationRefused(f"the graph cannot score the rows given: {first_line(error)}") from error
        sums = scores.probabilities.sum(axis=1)
        if not np.allclose(sums, 1, atol=1e-3) or scores.probabilities.min(initial=0) < -1e-6:
            raise RegistrationRefused(
                f"the graph's {PROBABILITIES_OUTPUT} are none: a row adds up to {sums[np.argmax(np.abs(sums - 1))]}; "
                f"scores and logits must go through a softmax inside the graph"
            )
        unknown = set(scores.labels) - set(self.classes)
        if unknown:
            raise RegistrationRefused(
                f"the graph answers {', '.join(map(repr, sorted(unknown)))}, which the classes "
                f"{', '.join(map(repr, self.classes))} do not name (--classes)"
            )
        return scores


def check_against_estimator(
    candidate: Candidate, rows: pd.DataFrame, probabilities: np.ndarray[Any, Any], tolerance: float = TOLERANCE
) -> Scores:
    """The graph's scores, equal to the estimator's own `probabilities` [N, K] on these rows.

    Raises RegistrationRefused where a probability is further off than `tolerance`, or a label differs that is no draw.
    """
    scores = candidate.score(rows)
    expected = np.asarray(probabilities, dtype=np.float64)
    if expected.shape != scores.probabilities.shape:
        raise RegistrationRefused(
            f"the estimator gives probabilities {expected.shape} and its graph {scores.probabilities.shape}"
        )
    off = np.abs(scores.probabilities - expected).max(axis=1, initial=0.0)
    best = np.sort(expected, axis=1)
    is_draw = best[:, -1] - best[:, -2] <= 2 * tolerance
    other = (np.array(candidate.classes, dtype=object)[expected.argmax(axis=1)] != scores.labels) & ~is_draw
    wrong = np.flatnonzero((off > tolerance) | np.isnan(off) | other)
    if wrong.size:
        row = int(wrong[0])
        raise RegistrationRefused(
            f"the {candidate.kind} graph and its estimator differ on {wrong.size} of {len(rows)} rows (first on row "
            f"{row + 1}: {scores.probabilities[row].tolist()} and {expected[row].tolist()}, tolerance {tolerance}); "
            f"the graph would serve other predictions than were tested"
        )
    return scores


def register(candidate: Candidate, rows: pd.DataFrame, tracking: Tracking, model: str, tags: Mapping[str, str]) -> str:
    """Registers the candidate out of the running run as a new version of `model`; gives the version.

    The first EXAMPLE_ROWS of `rows` become the example that every worker checks before it serves. The version is
    fetched back as a worker does it; where that fails it is deleted again. Raises RegistrationRefused.
    """
    import mlflow

    example = rows[list(candidate.types)].head(EXAMPLE_ROWS)
    metadata = {METADATA_KEY: _metadata(candidate, example)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logged = mlflow.onnx.log_model(
            candidate.graph,
            name=candidate.kind,
            signature=_signature(candidate),
            input_example=example,
            pip_requirements=list(REQUIREMENTS),
            save_as_external_data=False,
            metadata=metadata,
        )
        tracking.make_model(model)
        made = tracking.client.create_model_version(
            model, logged.model_uri, run_id=logged.run_id, model_id=logged.model_id
        )
        version = str(made.version)
    try:
        _pin(tracking, model, version, {**_tags(candidate), **tags})
        with tempfile.TemporaryDirectory() as folder:
            fetched = Registry(tracking.uri, model, artifact_hosts=tracking.artifact_hosts).fetch(version, Path(folder))
            Scorer(fetched.graph.read_bytes(), fetched.spec).check_example()
            if (memory := memory_bytes(fetched.graph.parent)) is not None:
                tracking.client.set_model_version_tag(model, version, MEMORY_TAG, str(memory))
    except (UnfitModel, RegistryUnreachable) as error:
        tracking.client.delete_model_version(model, version)
        raise RegistrationRefused(f"what was registered cannot serve, and was deleted again: {error}") from error
    return version


def raw_columns(rows: pd.DataFrame, types: Mapping[str, str]) -> dict[str, np.ndarray[Any, Any]]:
    """Rows as `Scorer.score` takes them, as out of a file: text with "" for a gap, float64 with NaN for one."""
    return {
        name: np.array(["" if pd.isna(cell) else trimmed(str(cell)) for cell in rows[name]], dtype=object)
        if kind == "string"
        else pd.to_numeric(rows[name]).to_numpy(np.float64, na_value=np.nan)
        for name, kind in types.items()
    }


def _metadata(candidate: Candidate, example: pd.DataFrame) -> dict[str, Any]:
    scores = candidate.score(example)
    return {
        "classes": list(candidate.classes),
        "positive_class": candidate.positive,
        "id_column": candidate.id_column,
        "label_column": candidate.label_column,
        "example": {
            "inputs": {
                name: [None if cell == "" or cell != cell else cell for cell in cells.tolist()]
                for name, cells in raw_columns(example, candidate.types).items()
            },
            "labels": [str(label) for label in scores.labels],
            "probabilities": [[float(p) for p in row] for row in scores.probabilities],
        },
        "profile": dict(candidate.profile),
        "texts": None
        if candidate.texts is None
        else {name: texts and list(texts) for name, texts in candidate.texts.items()},
        "flags": [name for name, only in candidate.flags.items() if not only],
        "no_gaps": list(candidate.no_gaps),
        "training": {
            "ids": candidate.training_ids and candidate.training_ids.to_json(),
            "sha256": candidate.training_sha256,
        },
    }


def _signature(candidate: Candidate) -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types.schema import Array, ColSpec, DataType, Schema

    inputs = [
        ColSpec(
            DataType.boolean if candidate.flags.get(name) else DataType[kind],
            name,
            required=kind == "long" or name in candidate.no_gaps,
        )
        for name, kind in candidate.types.items()
    ]
    outputs = [ColSpec(DataType.string, LABEL_OUTPUT), ColSpec(Array(DataType.float), PROBABILITIES_OUTPUT)]
    return ModelSignature(Schema(inputs), Schema(outputs))


def _tags(candidate: Candidate) -> dict[str, str]:
    said = {
        "kind": candidate.kind,
        "classes": ", ".join(candidate.classes),
        "positive_class": candidate.positive,
        "label_column": candidate.label_column,
        "id_column": candidate.id_column,
    }
    return {f"{METADATA_KEY}.{name}": text for name, text in said.items() if text}


def _pin(tracking: Tracking, model: str, version: str, tags: Mapping[str, str]) -> None:
    """Tags the version, with the digests of its files as they come back out of the artefact store."""
    import mlflow

    with tempfile.TemporaryDirectory() as folder:
        stored = Path(mlflow.artifacts.download_artifacts(f"models:/{model}/{version}", dst_path=folder))
        digests = {
            f"{SHA256_TAG}{name}": hashlib.sha256((stored / name).read_bytes()).hexdigest()
            for name in (SPEC_FILE, GRAPH_FILE)
        }
    for name, text in {**tags, **digests}.items():
        tracking.client.set_model_version_tag(model, version, name, text)
