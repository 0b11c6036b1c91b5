"""What a worker must know of one registered version; `models.registry.description` reads it from its `MLmodel` file.

A version fit to serve is two files: `model.onnx` (one graph, raw columns in, label and probabilities out) and `MLmodel`
(YAML: the signature, and under `metadata: understudy:` what the signature cannot say).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

GRAPH_FILE = "model.onnx"
SPEC_FILE = "MLmodel"
METADATA_KEY = "understudy"
SHA256_TAG = "understudy.sha256."  # + file name: the tag that pins a file of the version
MEMORY_TAG = "understudy.memory_bytes"  # what a scoring process grows by, as measured at the registration
LABEL_OUTPUT = "label"
PROBABILITIES_OUTPUT = "probabilities"


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
    histogram (numbers: `edges` and `counts`; text: `categories` and `counts`), for drift; `knows_texts`: False where it
    was not recorded which texts the model was shown; `made`: when it was logged to MLflow, in seconds since 1970, where
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
