"""How a worker ends on SIGTERM and Ctrl-C: at once while it starts, later within its drain time, even if a part hangs.

A worker imports this module first, so it imports nothing that takes time.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from threading import Event, Lock

from edge.end_signals import SIGNALS, on_end_signals

GIVE_BACK_SECONDS = 5.0  # beyond the drain time: for giving back what is left, and closing
STARTED_WITHIN_SECONDS = 2.0  # a start takes milliseconds; the end does not wait for one that hangs

STARTING = Lock()  # held while a scoring process is started: one that is left half started prints a traceback


def end_at_once_on_signals() -> None:
    """For the first seconds of a program, in which it imports modules and has nothing in hand.

    Without a handler a container's first process would not hear SIGTERM at all, and any other process would end with a
    failure.
    """
    for number in SIGNALS:
        signal.signal(number, lambda _number, _frame: os._exit(0))


class Ending:
    """Sets `stopping` on a signal. To be made by the main thread, once the log is started.

    Before `work_begins` nothing can be lost: a signal ends the process at once, with status 0. After that a signal
    starts the drain. A process that lives GIVE_BACK_SECONDS longer than its drain time is ended all the same, with
    status 0: the messages in its hands come again when their leases run out.
    """

    def __init__(self, drain_seconds: float) -> None:
        self.stopping = Event()
        self._drain_seconds = drain_seconds
        self._working = False
        self._lock = Lock()
        on_end_signals(self._end)

    def work_begins(self) -> None:
        """From now on something may be in hand."""
        with self._lock:
            self._working = True

    def _end(self) -> None:
        import structlog

        log = structlog.get_logger()
        with self._lock:
            self.stopping.set()
            if not self._working:
                log.info("stopped while starting", consequence="nothing was in hand")
                leave()
        time.sleep(self._drain_seconds + GIVE_BACK_SECONDS)  # the process ends meanwhile, and this thread with it
        log.warning(
            "ended by force",
            after_seconds=self._drain_seconds + GIVE_BACK_SECONDS,
            consequence="what was in hand comes again when its lease runs out",
            todo="see why bucket, queue or registry do not answer",
        )
        leave()


def leave() -> None:
    """Ends this process and its scoring processes now, with status 0, without waiting for any thread."""
    from multiprocessing import active_children

    STARTING.acquire(timeout=STARTED_WITHIN_SECONDS)  # never released, so that no other process is started
    for child in active_children():
        child.kill()
    sys.stderr.flush()
    os._exit(0)
