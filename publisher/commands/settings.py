"""The options that all commands of the publisher share."""

from __future__ import annotations

from contextlib import ExitStack, closing

from edge.options import BucketOption, LogLevelOption, QueueOption
from ledger.prefix import Prefix
from transport.bucket import Bucket
from transport.open import missing, open_bucket


class Places(LogLevelOption, QueueOption, BucketOption):
    """Where the files and the messages are."""

    prefix: Prefix = ""

    def no_bucket(self) -> str | None:
        """That the bucket does not exist, and what to do; None where it does. Opening it would make it."""
        folder = missing(self.bucket)
        set_it = "set UNDERSTUDY_BUCKET, or --bucket, to where the files are dropped"
        return f"there is no folder {folder}: {set_it}" if folder else None

    def no_queue(self) -> str | None:
        """The same of the queue."""
        file = missing(self.queue)
        set_it = "set UNDERSTUDY_QUEUE, or --queue; a publisher or a worker makes a new one"
        return f"there is no queue {file}: {set_it}" if file else None

    def open_bucket(self, stack: ExitStack) -> Bucket:
        """The bucket, closed when `stack` ends. Raises AccessRefused."""
        return stack.enter_context(closing(open_bucket(self.bucket)))
