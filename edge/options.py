"""Options that several programs share: one class each, so that what holds for one holds for all."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from edge.command import Command


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
