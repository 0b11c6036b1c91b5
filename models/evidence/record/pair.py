"""What is compared: one production and one staging version, and how far they can be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.evidence.record.columns import TrainingBins
from models.evidence.record.exact import Integers
from models.registry.spec import ModelSpec
from models.scoring.table.cells import Coded, encoded

Texts: TypeAlias = npt.NDArray[Any] | pa.Array | Coded  # an array of str objects, of Arrow's strings, or these coded
MAX_COLUMNS = 200  # columns beyond these are left out of a record, by their order in production's signature


class Incomparable(Exception):
    """These two versions, or records of two pairs, cannot be compared; the text says why and what to do."""


@dataclass(frozen=True)
class Version:
    """One registered version, by name."""

    name: str
    version: str
    run_id: str = ""

    def __str__(self) -> str:
        return f"{self.name} version {self.version}"


@dataclass(frozen=True)
class Predictions:
    """One model's answers for N rows.

    `labels` [N], None where the row could not be scored; `probabilities`: float64 [N, K] in the
    order of that model's own classes (anything in failed rows); `seconds`: what scoring these rows took.
    """

    labels: Texts
    probabilities: npt.NDArray[np.float64]
    seconds: float = 0.0


def codes(labels: Texts, code_of: Mapping[Any, int], unknown: int = -1) -> Integers:
    """The code of each of N labels; `unknown` where it has none."""
    if not isinstance(labels, Coded):
        array = labels if isinstance(labels, pa.Array) else pa.array(labels, pa.string())
        distinct, codes = encoded(array.fill_null(""))
        labels = Coded(np.array([*distinct.to_pylist(), None], dtype=object)[:-1], codes)
    found = np.array([code_of.get(label, unknown) for label in labels.distinct], dtype=np.int64)
    return np.asarray(found[labels.codes])


@dataclass(frozen=True)
class Pair:
    """Both versions, the classes in production's order, and what of them is compared.

    `positive`: the class whose probability is compared where there are two classes; `columns`: those whose values the
    record counts, True where text; `left_out`: what cannot be compared, each with its reason; `training`: production's
    bins and training counts per column, or staging's where only that has them; `staging_order`: for each class its
    place in staging's own probabilities.
    """

    production: Version
    staging: Version
    classes: tuple[str, ...]
    positive: str
    label_column: str | None
    id_column: str | None = None
    columns: Mapping[str, bool] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    training: Mapping[str, TrainingBins] = field(default_factory=dict)
    staging_order: tuple[int, ...] = ()

    def __str__(self) -> str:
        return f"{self.production} and {self.staging}"

    @property
    def versions(self) -> tuple[Version, Version]:
        """Production's and staging's."""
        return self.production, self.staging

    def same_as(self, other: Pair) -> bool:
        """True where records of the two may be merged."""
        return (self.production, self.staging, self.classes, self.positive, self.columns, self.training) == (
            other.production,
            other.staging,
            other.classes,
            other.positive,
            other.columns,
            other.training,
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "production": vars(self.production),
            "staging": vars(self.staging),
            "classes": list(self.classes),
            "positive": self.positive,
            "label_column": self.label_column,
            "id_column": self.id_column,
            "columns": dict(self.columns),
            "left_out": list(self.left_out),
            "training": {name: bins.to_json() for name, bins in self.training.items()},
            "staging_order": list(self.staging_order),
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Pair:
        return cls(
            production=Version(**fields["production"]),
            staging=Version(**fields["staging"]),
            classes=tuple(fields["classes"]),
            positive=fields["positive"],
            label_column=fields["label_column"],
            id_column=fields.get("id_column"),
            columns=dict(fields["columns"]),
            left_out=tuple(fields["left_out"]),
            training={name: TrainingBins.from_json(bins) for name, bins in fields["training"].items()},
            staging_order=tuple(fields["staging_order"]),
        )


def pair_of(production: ModelSpec, staging: ModelSpec) -> Pair:
    """What of two versions can be compared. Raises Incomparable where their classes differ."""
    if set(production.classes) != set(staging.classes) or len(production.classes) != len(staging.classes):
        raise Incomparable(
            f"{production} and {staging} are not compared, because their classes differ: "
            f"{', '.join(production.classes)} against {', '.join(staging.classes)}; "
            f"register a staging version with production's classes"
        )
    left_out: list[str] = []
    label = production.label_column or staging.label_column
    if staging.label_column and production.label_column and staging.label_column != production.label_column:
        left_out.append(
            f"accuracy, because the label is {production.label_column!r} for production and "
            f"{staging.label_column!r} for staging"
        )
        label = None
    if production.id_column and staging.id_column and production.id_column != staging.id_column:
        left_out.append(
            f"staging's id column {staging.id_column!r}; rows are named by production's, {production.id_column!r}"
        )
    positive = production.positive or staging.positive or production.classes[-1]
    if len(production.classes) == 2 and staging.positive not in (None, positive):
        left_out.append(f"staging's positive class {staging.positive!r}; probabilities of {positive!r} are compared")
    columns = {column.name: column.is_text for column in production.columns}
    for column in staging.columns:
        if columns.setdefault(column.name, column.is_text) != column.is_text:
            del columns[column.name]
            left_out.append(f"column {column.name!r}, because it is text for one version and a number for the other")
    if len(columns) > MAX_COLUMNS:
        left_out.append(f"{len(columns) - MAX_COLUMNS} columns beyond the first {MAX_COLUMNS}")
        columns = dict(list(columns.items())[:MAX_COLUMNS])
    return Pair(
        production=Version(production.name, production.version, production.run_id),
        staging=Version(staging.name, staging.version, staging.run_id),
        classes=production.classes,
        positive=positive,
        label_column=label,
        id_column=production.id_column or staging.id_column,
        columns=columns,
        left_out=tuple(left_out),
        training=_training(production.profile, staging.profile, columns),
        staging_order=tuple(staging.classes.index(label) for label in production.classes),
    )


def _training(
    first: Mapping[str, Any], second: Mapping[str, Any], columns: Mapping[str, bool]
) -> dict[str, TrainingBins]:
    found: dict[str, TrainingBins] = {}
    for name, is_text in columns.items():
        for profile in (first, second):
            bins = TrainingBins.from_profile(profile[name]) if isinstance(profile.get(name), Mapping) else None
            if bins is not None and (bins.categories is not None) == is_text:
                found[name] = bins
                break
    return found
