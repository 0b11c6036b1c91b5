"""Options that several programs share: one class each, so that what holds for one holds for all."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from edge.command import Command

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(text: object) -> object:
    """`5`, `5s`, `500ms`, `10m`, `1h` as seconds. Raises ValueError for other text."""
    if not isinstance(text, str):
        return text
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|)\s*", text)
    if match is None:
        raise ValueError(f"{text!r} is not a time: write seconds, or a number with ms, s, m, h or d, like 10m")
    return float(match[1]) * _UNITS[match[2] or "s"]


Seconds = Annotated[float, BeforeValidator(seconds)]

ArtifactHosts = Annotated[
    str,
    Field(
        description="hosts and buckets, by commas, from which a version's files may come besides the registry's own "
        "host and artefact root"
    ),
]


class BucketOption(Command):
    """Where the files are."""

    bucket: str = Field("./bucket", description="gs://NAME, or a folder, made if it does not exist")


class QueueOption(Command):
    """Where the messages are."""

    queue: str = Field("./queue.db", description="pubsub://PROJECT/TOPIC, or a file, made if it does not exist")


class RegistryOption(Command):
    """Where the versions are."""

    mlflow_tracking_uri: str = Field("sqlite:///mlflow.db", description="the MLflow registry")


class ModelOption(Command):
    """Which registered model is meant."""

    model: str = Field("airline-satisfaction", description="the registered model whose aliases are followed")


class LogLevelOption(Command):
    """How much is logged."""

    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="what is logged on stderr")
