"""Files wait, and no worker shows itself: told once, until one does."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from edge.notify.news import workers_silent
from edge.notify.notifier import Notifier
from ledger.told import begin_silence, end_silence
from transport.bucket import Bucket, BucketError
from transport.queue import Queue, QueueError

log = structlog.get_logger()


class Silence:
    """A worker shows itself by a receipt, or by a message that it holds; Pub/Sub tells only of the first.

    So where Pub/Sub is the queue, one file that takes longer than `seconds` while all others wait looks like silence.
    """

    def __init__(
        self,
        bucket: Bucket,
        queue: Queue,
        notifier: Notifier,
        seconds: float,
        *,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bucket, self._queue, self._notifier = bucket, queue, notifier
        self._seconds, self._ticks = seconds, ticks
        self._answered: int | None = None
        self._since: float | None = None  # when a worker was last seen to be there, or when files began to wait
        self._on_record = True  # it may be: another publisher may have put it there

    def passed(self, waiting: int, answered: int) -> None:
        """After each full pass: how many files wait, and how many have their receipt. Never raises."""
        if not self._notifier:
            return
        receipts_came = self._answered is not None and answered > self._answered
        self._answered = answered
        try:
            if receipts_came or not waiting or self._is_held():
                self._since = None
                if self._on_record and (receipts_came or waiting):
                    end_silence(self._bucket)
                    self._on_record = False
                return
            now = self._ticks()
            self._since = now if self._since is None else self._since
            if now - self._since >= self._seconds:
                self._tell(waiting, now - self._since)
        except (BucketError, QueueError) as error:
            log.warning("silence not noted", error=str(error), consequence="tried again after the next pass")

    def _tell(self, waiting: int, seconds: float) -> None:
        number = begin_silence(self._bucket)
        self._on_record = True
        self._since = self._ticks()  # the record is looked at again after as long a time
        if number is not None:
            self._notifier.tell(workers_silent(waiting, seconds, self._queue.url, number))

    def _is_held(self) -> bool:
        return bool(self._queue.backlog().leased)
