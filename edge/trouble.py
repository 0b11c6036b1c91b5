"""A failure that repeats for one cause is logged once, and once more when it is over."""

from __future__ import annotations

from threading import Lock

import structlog

log = structlog.get_logger()

MOST_CAUSES = 100  # kept; a library may put a number of its own into each text


class Trouble:
    """One thing that may fail at any call, such as a queue. Threads may share it."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._causes: set[str] = set()
        self._times = 0
        self._lock = Lock()

    def is_new(self, error: Exception) -> bool:
        """Notes one more failure. True where it is to be logged: its cause is new since the last success."""
        with self._lock:
            self._times += 1
            known = str(error) in self._causes
            if len(self._causes) >= MOST_CAUSES:
                self._causes.clear()
            self._causes.add(str(error))
        return not known

    def over(self) -> None:
        """Notes a success."""
        if not self._causes:
            return
        with self._lock:
            times, self._times = self._times, 0
            self._causes.clear()
        if times:
            log.info("trouble over", what=self._what, failures=times)
