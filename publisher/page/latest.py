"""The last look at how things stand, and how old it is: nothing that is asked for waits long for the bucket."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock, Thread
from typing import Generic, TypeVar

import structlog

from transport.bucket import BucketError
from transport.queue import QueueError

FRESH = 4.0  # seconds for which a look is good enough
SHARE = 20  # a look that took a second is good enough for so many: looking costs a twentieth of the time at most
PATIENCE = 0.6  # seconds that a request waits for a look that is under way

Thing = TypeVar("Thing")

log = structlog.get_logger()


@dataclass(frozen=True)
class LastLook(Generic[Thing]):
    """`seen`: by the last look that succeeded, None before it; `age` in seconds; `trouble`: why a later one failed.

    `looking`: a newer one is under way.
    """

    seen: Thing | None
    age: float
    trouble: str
    looking: bool


class Latest(Generic[Thing]):
    """Looks when it is asked, one look at a time and not too often, in a thread of its own."""

    def __init__(self, look: Callable[[], Thing], *, clock: Callable[[], float] = time.monotonic) -> None:
        """`look` may raise BucketError and QueueError."""
        self._look, self._clock = look, clock
        self._lock = Lock()
        self._thread: Thread | None = None
        self._seen: Thing | None = None
        self._at = 0.0
        self._trouble = ""
        self._due = clock()
        self._closed = False

    def get(self) -> LastLook[Thing]:
        """The last state; waits at most PATIENCE for a newer one where a look is due."""
        with self._lock:
            if self._thread is None and not self._closed and self._clock() >= self._due:
                self._thread = Thread(target=self._run, name="page-look", daemon=True)
                self._thread.start()
            looking = self._thread
        if looking is not None:
            looking.join(PATIENCE)
        with self._lock:
            return LastLook(self._seen, self._clock() - self._at, self._trouble, self._thread is not None)

    def close(self) -> None:
        """No more looks; one that is under way is waited for, for as long as a request would."""
        with self._lock:
            self._closed = True
            looking = self._thread
        if looking is not None:
            looking.join(PATIENCE)

    def _run(self) -> None:
        began = self._clock()
        seen, trouble = None, ""
        try:
            seen = self._look()
        except (BucketError, QueueError) as error:
            trouble = str(error)
        except Exception as error:
            trouble = repr(error)[:300]
            if not self._closed:  # the bucket may be closed by now
                log.exception("page not refreshed")
        with self._lock:
            now = self._clock()
            if seen is not None:
                self._seen, self._at = seen, began
            self._trouble, self._thread = trouble, None
            # A bucket that does not answer is asked again soon: waiting for it costs nothing.
            self._due = now + (FRESH if trouble else max(FRESH, SHARE * (now - began)))
