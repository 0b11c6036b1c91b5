"""Slows a worker down when the files are not at fault: a bad disk or release must not dead-letter the backlog."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, Lock

import structlog

from transport.bucket import BucketError, NoSpace, ObjectNotFound, PreconditionFailed
from worker.processes.process import kind_of

log = structlog.get_logger()

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds
UNLUCKY = 20  # failed attempts in a row, from which on the files are not thought to be at fault
_OF_A_FILE = (ObjectNotFound, PreconditionFailed)


class Brake:
    """Two rules. Any number of threads may use it.

    First: while the bucket takes nothing, the worker keeps its files and tries them again, and no attempt is counted.
    It is soon full, and pulls nothing more. Second: after UNLUCKY failed attempts in a row the worker pulls one file at
    a time, each after a pause that doubles up to a minute, until a file succeeds.
    """

    def __init__(
        self, verify: Callable[[], None], *, first_pause: float = FIRST_PAUSE, longest_pause: float = LONGEST_PAUSE
    ) -> None:
        """`verify` uses the bucket, and raises BucketError where it cannot be used."""
        self._verify = verify
        self._first, self._longest = first_pause, longest_pause
        self._failed = 0
        self._lock = Lock()
        self._released = Event()

    def release(self) -> None:
        """The worker ends: no file is held any longer."""
        self._released.set()

    @property
    def is_released(self) -> bool:
        return self._released.is_set()

    @property
    def is_on(self) -> bool:
        """True while the worker is to pull one file at a time, each after a `pause`."""
        return self._failed >= UNLUCKY

    def hold(self, error: Exception, held_before: int) -> bool:
        """Waits where the bucket is at fault; True: try the file again, False: the attempt has failed."""
        if self._released.is_set() or not self._bucket_at_fault(error):
            return False
        pause = self._pause(held_before)
        log.error(
            "bucket does not take what is written",
            error=str(error),
            consequence="files stay in hand and are tried again; nothing is lost, and no attempt is counted",
            todo="see to its disk or its rights; docs/operations.md says more",
            again_in=pause,
        )
        return not self._released.wait(pause)

    def went_well(self) -> None:
        """A file has its receipt."""
        with self._lock:
            self._failed = 0

    def attempt_failed(self) -> None:
        """An attempt at a file failed, and the file goes back to the queue."""
        with self._lock:
            self._failed += 1

    def pause(self) -> float:
        """Seconds to wait before the next file is pulled while the brake `is_on`; logs that the brake is on."""
        pause = self._pause(self._failed - UNLUCKY)
        log.error(
            "attempt after attempt fails",
            failed=self._failed,
            consequence="one file at a time is pulled, so that the rest is not dead-lettered",
            todo="the lines 'attempt failed' say why; a release or a model may be at fault rather than the files",
            again_in=pause,
        )
        return pause

    def _pause(self, before: int) -> float:
        return min(self._longest, self._first * 2.0 ** min(before, 30))

    def _bucket_at_fault(self, error: Exception) -> bool:
        """True where other files would fail too. Room for the little that `verify` writes does not show more room."""
        kind = kind_of(error)
        if kind == NoSpace.__name__:
            return True
        if isinstance(error, _OF_A_FILE) or kind not in _KINDS:
            return False
        try:
            self._verify()
        except BucketError:
            return True
        return False


_KINDS = {"BucketError", "AccessRefused"}
