"""A version's `MLmodel` file → what a worker must know of it. Any bytes give a spec or UnfitModel, in a short time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from models.evidence.record.training import Training
from models.registry.description.fields import ExampleFields, InputFields, OurFields, first_trouble
from models.registry.description.plain import NotPlain, read_plain
from models.registry.spec import METADATA_KEY, Column, Example, ModelSpec, UnfitModel

_WHOLE_NUMBERS = {"integer", "long"}
_NUMBERS = {"double", "float", "boolean"} | _WHOLE_NUMBERS
_INPUTS = TypeAdapter(Annotated[list[InputFields], Field(fail_fast=True)])


def read_spec(mlmodel: bytes, name: str, version: str) -> ModelSpec:
    """The spec in the bytes of an `MLmodel` file. Raises UnfitModel where it describes no model a worker can serve."""
    who = f"{name} version {version}"
    document = _document(mlmodel, who)
    flavors, signature = document.get("flavors"), document.get("signature")
    if not isinstance(flavors, dict) or not isinstance(signature, dict):
        raise UnfitModel(f"{who}: its MLmodel file has no flavors and signature; register it again with a signature")
    if "onnx" not in flavors:
        raise UnfitModel(
            f"{who} is of flavor {', '.join(sorted(flavors))[:200]}, and workers run ONNX only: "
            f"convert it and register it with `python -m models register FILE.onnx`, "
            f"or a fitted scikit-learn classifier with models.register_sklearn"
        )
    ours = _ours(document, who)
    inputs = _inputs(signature.get("inputs"), who)
    if ours.positive_class is not None and ours.positive_class not in ours.classes:
        raise UnfitModel(
            f"{who}: its positive class {ours.positive_class!r} is none of its classes "
            f"{', '.join(map(repr, ours.classes))[:1000]}; register it again with one of them"
        )
    return ModelSpec(
        name=name,
        version=version,
        run_id=_text(document.get("run_id")),
        columns=_columns(inputs, ours, who),
        classes=tuple(ours.classes),
        positive=ours.positive_class,
        id_column=ours.id_column,
        label_column=ours.label_column,
        example=None if ours.example is None else _example(ours.example, inputs, ours.classes, who),
        profile={column: bins.model_dump(exclude_none=True) for column, bins in (ours.profile or {}).items()},
        knows_texts=ours.texts is not None,
        made=_time(_text(document.get("utc_time_created"))),
    )


def read_training(mlmodel: bytes) -> Training:
    """What the version was fitted on; what cannot be read is not known."""
    try:
        ours = _ours(_document(mlmodel, "it"), "it")
    except UnfitModel:
        return Training()
    return Training.from_json(None if ours.training is None else ours.training.model_dump())


def _document(mlmodel: bytes, who: str) -> Mapping[str, Any]:
    try:
        document = read_plain(mlmodel)
    except NotPlain as error:
        raise UnfitModel(f"{who}: its MLmodel file is not read: {error}; register it again") from None
    if not isinstance(document, dict):
        raise UnfitModel(f"{who}: its MLmodel file is no mapping; register it again")
    return document


def _ours(document: Mapping[str, Any], who: str) -> OurFields:
    metadata = document.get("metadata")
    entry = metadata.get(METADATA_KEY) if isinstance(metadata, dict) else None
    if not isinstance(entry, dict) or "classes" not in entry:
        raise UnfitModel(
            f"{who}: its metadata does not name its classes; "
            f"register it with `python -m models register`, which writes them"
        )
    try:
        return OurFields.model_validate(entry)
    except ValidationError as error:
        raise UnfitModel(
            f"{who}: its MLmodel file has metadata that no registration of ours writes "
            f"({METADATA_KEY}.{first_trouble(error)}); register it again"
        ) from None


def _inputs(text: Any, who: str) -> list[InputFields]:
    if not isinstance(text, str):
        raise UnfitModel(f"{who}: its MLmodel file has no signature of its inputs; register it again with a signature")
    try:
        inputs = _INPUTS.validate_python(json.loads(text))
    except ValidationError as error:
        raise UnfitModel(
            f"{who}: its signature is not one of named string and number columns: {first_trouble(error)}"
        ) from None
    except (ValueError, RecursionError):
        raise UnfitModel(f"{who}: its signature is no JSON; register it again with a signature") from None
    seen: set[str] = set()
    for one in inputs:
        if one.name in seen:
            raise UnfitModel(f"{who}: its signature names the column {one.name!r} twice; register it again")
        seen.add(one.name)
    return inputs


def _columns(inputs: list[InputFields], ours: OurFields, who: str) -> tuple[Column, ...]:
    flags, no_gaps, texts = set(ours.flags or ()), set(ours.no_gaps or ()), ours.texts or {}
    columns = []
    for one in inputs:
        if one.type != "string" and one.type not in _NUMBERS:
            raise UnfitModel(
                f"{who}: its signature is not one of named string and number columns: "
                f"{one.name!r} is a {one.type[:100]!r}"
            )
        known = texts.get(one.name)
        columns.append(
            Column(
                one.name,
                is_text=one.type == "string",
                is_whole=one.type in _WHOLE_NUMBERS,
                is_flag=one.type == "boolean" or one.name in flags,
                is_boolean=one.type == "boolean",
                takes_gaps=one.name not in no_gaps,
                known=None if known is None else tuple(known),
            )
        )
    return tuple(columns)


def _example(kept: ExampleFields, inputs: list[InputFields], classes: list[str], who: str) -> Example:
    rows = len(kept.labels)
    cells = {one.name: kept.inputs.get(one.name, []) for one in inputs}
    if (
        not rows
        or len(kept.probabilities) != rows
        or any(len(row) != len(classes) for row in kept.probabilities)
        or any(len(column) != rows for column in cells.values())
    ):
        raise UnfitModel(
            f"{who}: the example in its MLmodel file has not one label, a probability per class and a cell per input "
            f"for each of its rows; register it again"
        )
    return Example(
        inputs={name: tuple(column) for name, column in cells.items()},
        labels=tuple(kept.labels),
        probabilities=tuple(tuple(float(p) for p in row) for row in kept.probabilities),
    )


def _text(value: Any) -> str:
    return value[:1000] if isinstance(value, str) else ""


def _time(text: str) -> float | None:
    try:
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
