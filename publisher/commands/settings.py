"""The options that all commands of the publisher share."""

from __future__ import annotations

from contextlib import ExitStack, closing

from edge.options import BucketOption, LogLevelOption, QueueOption
from ledger.prefix import Prefix
from transport.bucket import Bucket
from transport.open import open_bucket


class Places(LogLevelOption, QueueOption, BucketOption):
    """Where the files and the messages are."""

    prefix: Prefix = ""

    def open_bucket(self, stack: ExitStack) -> Bucket:
        """The bucket, closed when `stack` ends. Raises AccessRefused."""
        return stack.enter_context(closing(open_bucket(self.bucket)))
