"""The options that all commands of the publisher share."""

from __future__ import annotations

import re
from contextlib import ExitStack, closing
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator

from edge.command import Command
from ledger.names import OUTPUT
from transport.bucket import Bucket
from transport.open import open_bucket

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


class Places(Command):
    """Where the files and the messages are."""

    bucket: str = Field(default="./bucket", description="gs://NAME, or a folder, made if it does not exist")
    queue: str = Field(default="./queue.db", description="pubsub://PROJECT/TOPIC, or a file, made if it does not exist")
    prefix: str = Field(
        default="", description="inputs are the .csv and .csv.gz objects whose names begin so, like incoming/"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="what is logged on stderr"
    )

    @field_validator("prefix")
    @classmethod
    def _inputs_and_outputs_apart(cls, prefix: str) -> str:
        if prefix.startswith((OUTPUT, "/", ".understudy")) or any(part in (".", "..") for part in prefix.split("/")):
            raise ValueError(f"{prefix!r} can hold no inputs: use a plain path that is not below {OUTPUT}")
        return prefix

    def open_bucket(self, stack: ExitStack) -> Bucket:
        """The bucket, closed when `stack` ends. Raises AccessRefused."""
        return stack.enter_context(closing(open_bucket(self.bucket)))
