"""What a worker must know of one registered version, read from its `MLmodel` file as plain data; nothing is run.

A version fit to serve is two files: `model.onnx` (one graph, raw columns in, label and probabilities out) and `MLmodel`
(YAML: the signature, and under `metadata: understudy:` what the signature cannot say).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import yaml

GRAPH_FILE = "model.onnx"
SPEC_FILE = "MLmodel"
METADATA_KEY = "understudy"
SHA256_TAG = "understudy.sha256."  # + file name: the tag that pins a file of the version
MEMORY_TAG = "understudy.memory_bytes"  # what a scoring process grows by, as measured at the registration
LABEL_OUTPUT = "label"
PROBABILITIES_OUTPUT = "probabilities"

_WHOLE_NUMBERS = {"integer", "long"}
_NUMBERS = {"double", "float", "boolean"} | _WHOLE_NUMBERS


class UnfitModel(Exception):
    """This registered version cannot serve; the text says why and what to do."""


@dataclass(frozen=True)
class Size:
    """Bytes of a version's graph, and of memory that a scoring process takes for it; None where that is not known."""

    artifact_bytes: int | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True)
class Column:
    """An input of the model by its own name: text, or a number where a gap is NaN.

    `is_whole`: a whole number without gaps; `takes_gaps`: False where a gap is an error all the same; `is_flag`: a
    number for which true and false may stand, and with `is_boolean` nothing but they, 1 and 0; `known`: the texts that
    the model was shown, None where that is not known or any text may come.
    """

    name: str
    is_text: bool
    is_whole: bool = False
    is_flag: bool = False
    is_boolean: bool = False
    takes_gaps: bool = True
    known: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Example:
    """Rows that the version must score as recorded before it serves.

    `inputs`: column → N cells (None is a gap); `labels`: N classes; `probabilities`: N rows of K.
    """

    inputs: Mapping[str, tuple[str | float | None, ...]]
    labels: tuple[str, ...]
    probabilities: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class ModelSpec:
    """One version: its columns in order, its classes in the order of its probabilities.

    `positive`: the class whose probability is written where there are two; `profile`: per column the training data's
    histogram (numbers: `edges` and `counts`; text: `categories` and `counts`), for drift; `knows_texts`: False where
    nobody recorded which texts the model was shown; `made`: when it was logged to MLflow, in seconds since 1970, where
    that is known.
    """

    name: str
    version: str
    run_id: str
    columns: tuple[Column, ...]
    classes: tuple[str, ...]
    positive: str | None = None
    id_column: str | None = None
    label_column: str | None = None
    example: Example | None = None
    profile: Mapping[str, Any] = field(default_factory=dict)
    knows_texts: bool = False
    made: float | None = None

    def __str__(self) -> str:
        return f"{self.name} version {self.version}"


def read_spec(mlmodel: bytes, name: str, version: str) -> ModelSpec:
    """The spec in the bytes of an `MLmodel` file. Raises UnfitModel where it describes no model a worker can serve."""
    who = f"{name} version {version}"
    try:
        document = yaml.safe_load(mlmodel)
        flavors = document["flavors"]
        inputs = json.loads(document["signature"]["inputs"])
        run_id = str(document.get("run_id") or "")
        extra = (document.get("metadata") or {}).get(METADATA_KEY)
    except (yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError):
        raise UnfitModel(
            f"{who}: its MLmodel file has no flavors and signature; register it again with a signature"
        ) from None
    if "onnx" not in flavors:
        raise UnfitModel(
            f"{who} is of flavor {', '.join(sorted(map(str, flavors)))}, and workers run ONNX only: "
            f"convert it and register it with `python -m models register FILE.onnx`, "
            f"or a fitted scikit-learn classifier with models.register_sklearn"
        )
    if not isinstance(extra, dict) or not isinstance(extra.get("classes"), list) or len(extra["classes"]) < 2:
        raise UnfitModel(
            f"{who}: its metadata does not name its classes; "
            f"register it with `python -m models register`, which writes them"
        )
    classes = tuple(str(label) for label in extra["classes"])
    positive = None if extra.get("positive_class") is None else str(extra["positive_class"])
    if positive is not None and positive not in classes:
        raise UnfitModel(
            f"{who}: its positive class {positive!r} is none of its classes {', '.join(map(repr, classes))}; "
            f"register it again with one of them"
        )
    return ModelSpec(
        name=name,
        version=version,
        run_id=run_id,
        columns=tuple(_column(entry, extra, who) for entry in inputs),
        classes=classes,
        positive=positive,
        id_column=extra.get("id_column"),
        label_column=extra.get("label_column"),
        example=_example(extra.get("example")),
        profile=extra.get("profile") or {},
        knows_texts=isinstance(extra.get("texts"), dict),
        made=_time(document.get("utc_time_created")),
    )


def read_metadata(mlmodel: bytes) -> Mapping[str, Any]:
    """What the registration wrote beside the signature; empty where there is none."""
    try:
        extra = (yaml.safe_load(mlmodel).get("metadata") or {}).get(METADATA_KEY)
    except (yaml.YAMLError, AttributeError):
        return {}
    return extra if isinstance(extra, dict) else {}


def _time(text: Any) -> float | None:
    try:
        at = datetime.fromisoformat(str(text))
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def _column(entry: Any, extra: Mapping[str, Any], who: str) -> Column:
    kind = entry.get("type") if isinstance(entry, dict) else None
    if not isinstance(entry, dict) or "name" not in entry or (kind != "string" and kind not in _NUMBERS):
        raise UnfitModel(f"{who}: its signature is not one of named string and number columns: {str(entry)[:100]}")
    name = str(entry["name"])
    texts = (extra.get("texts") or {}).get(name)
    return Column(
        name,
        is_text=kind == "string",
        is_whole=kind in _WHOLE_NUMBERS,
        is_flag=kind == "boolean" or name in (extra.get("flags") or ()),
        is_boolean=kind == "boolean",
        takes_gaps=name not in (extra.get("no_gaps") or ()),
        known=None if texts is None else tuple(map(str, texts)),
    )


def _example(recorded: Any) -> Example | None:
    if not isinstance(recorded, dict):
        return None
    return Example(
        inputs={name: tuple(cells) for name, cells in recorded["inputs"].items()},
        labels=tuple(str(label) for label in recorded["labels"]),
        probabilities=tuple(tuple(float(p) for p in row) for row in recorded["probabilities"]),
    )
