"""`python -m publisher`: the reconciler as a program."""

from __future__ import annotations

import sys
from contextlib import ExitStack, closing

import structlog
from pydantic import Field

from edge.address import CannotSignal
from edge.end_signals import on_end_signals
from edge.listen import Address, Listening
from edge.notify.options import Receipting
from edge.options import Seconds
from publisher.commands.settings import Places
from publisher.loop import PublisherLoop
from publisher.publish import Reconciler
from publisher.vitals import PublisherVitals
from publisher.watch import FolderWatch, watched_folder
from transport.bucket import AccessRefused, Bucket, BucketError
from transport.open import open_dead_letters, open_queue
from transport.queue import Queue, QueueError
from transport.queues.pubsub.names import project_of

SETTLE_IN_FOLDER = 1.0
WAIT_FOR_DEAD_LETTERS = 3.0  # seconds: of --once on Pub/Sub, whose first messages take a moment

log = structlog.get_logger()


class Run(Listening, Receipting, Places):
    """Publishes each new file, and turns dead letters into receipts, until it is stopped.

    Stateless: it may be killed, started late or run twice, and every file is still scored once.
    SIGTERM and Ctrl-C end it with exit 0; a bucket or queue that it may not use, with exit 2.
    """

    listen: Address = Field(
        default="",
        description="HOST:PORT that serves at / a page of how things stand, and /metrics, /healthz and /readyz, like "
        "127.0.0.1:9464; empty: off",
    )
    interval: Seconds = Field(default=5.0, gt=0, description="time between two full passes, like 5s or 10m")
    settle: Seconds | None = Field(
        default=None,
        ge=0,
        description="how long a file must have stood still to count as complete: 1s in a folder by default; 0 on gs://,"
        " where objects are complete when visible (beside notifications, a longer time leaves new objects to these)",
    )
    once: bool = Field(default=False, description="make one pass, waiting once for files that settle, and end")

    def run(self) -> int:
        try:
            with ExitStack() as stack:
                return self._run(stack)
        except (AccessRefused, QueueError, CannotSignal) as error:
            print(f"python -m publisher: {error}", file=sys.stderr)
            return 2

    def _run(self, stack: ExitStack) -> int:
        signals = stack.enter_context(self.start_signals("publisher", self.log_level, project_of(self.queue)))
        bucket = self.open_bucket(stack)
        queue = stack.enter_context(closing(open_queue(self.queue)))
        try:
            bucket.verify()
            bucket.sweep()
        except AccessRefused:
            raise
        except BucketError as error:
            log.warning("the bucket does not answer yet; it is tried again in each pass", error=str(error))
        queue.verify()

        folder = watched_folder(bucket.url, self.prefix)
        settle = self.settle if self.settle is not None else SETTLE_IN_FOLDER if folder else 0.0
        reconciler = self._reconciler(stack, bucket, queue, settle)
        loop = PublisherLoop(reconciler, self.interval)
        vitals = signals.vitals = PublisherVitals(queue, loop, self.interval, self.stalled_seconds)
        if signals.url:
            from publisher.page.page import Page  # its libraries are for those who want it

            signals.pages = page = Page(bucket, queue, self.prefix, vitals)
            stack.callback(page.close)
        stack.callback(on_end_signals(loop.stop))

        log.info("publisher started", bucket=bucket.url, queue=queue.url, prefix=self.prefix, settle=settle)
        if self.once:
            done = loop.once(wait_for_dead_letters=0.0 if folder else WAIT_FOR_DEAD_LETTERS)
            log.info("one pass made", **vars(done))
            return 1 if done.errors else 0
        if folder is not None:
            stack.enter_context(FolderWatch(folder, self.prefix, loop.changed))
        loop.run()
        log.info("publisher stopped")
        return 0

    def _reconciler(self, stack: ExitStack, bucket: Bucket, queue: Queue, settle: float) -> Reconciler:
        return Reconciler(
            bucket,
            queue,
            stack.enter_context(closing(open_dead_letters(self.queue))),
            prefix=self.prefix,
            settle=settle,
            notifier=stack.enter_context(self.notifier(bucket.url)),
            silent_seconds=self.stalled_seconds,
        )
