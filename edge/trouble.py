"""What fails again and again for one cause is said once, and once more when it is over."""

from __future__ import annotations

from threading import Lock

import structlog

log = structlog.get_logger()

MOST_CAUSES = 100  # kept; a library may put a number of its own into each text


class Trouble:
    """One thing that may fail, a queue say, whatever is asked of it. Threads may share it."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._causes: set[str] = set()
        self._times = 0
        self._lock = Lock()

    def is_new(self, error: Exception) -> bool:
        """It failed once more. True where that is to be said: the cause was not met since it last went well."""
        with self._lock:
            self._times += 1
            known = str(error) in self._causes
            if len(self._causes) >= MOST_CAUSES:
                self._causes.clear()
            self._causes.add(str(error))
        return not known

    def over(self) -> None:
        """It went well."""
        if not self._causes:
            return
        with self._lock:
            times, self._times = self._times, 0
            self._causes.clear()
        if times:
            log.info("trouble over", what=self._what, failures=times)
