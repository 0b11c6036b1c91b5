"""The options that all commands of the publisher share."""

from __future__ import annotations

from contextlib import ExitStack, closing
from typing import Literal

from pydantic import Field, field_validator

from edge.command import Command
from edge.seconds import Seconds as Seconds
from ledger.naming.prefix import refuse_bad_prefix
from transport.bucket import Bucket
from transport.open import open_bucket


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
        refuse_bad_prefix(prefix)
        return prefix

    def open_bucket(self, stack: ExitStack) -> Bucket:
        """The bucket, closed when `stack` ends. Raises AccessRefused."""
        return stack.enter_context(closing(open_bucket(self.bucket)))
