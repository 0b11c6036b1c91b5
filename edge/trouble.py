"""What fails again and again for one cause is said once, and once more when it is over."""

from __future__ import annotations

from threading import Lock

import structlog

log = structlog.get_logger()


class Trouble:
    """One thing that may fail, a queue say, whatever is asked of it. Threads may share it."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._causes: set[str] = set()
        self._times = 0
        self._lock = Lock()

    def met(self, event: str, error: Exception, **fields: str) -> None:
        """Logs a warning, unless the same cause was met since it last went well."""
        with self._lock:
            self._times += 1
            if str(error) in self._causes:
                return
            self._causes.add(str(error))
        log.warning(event, error=str(error), **fields)

    def over(self) -> None:
        """It went well."""
        if not self._causes:
            return
        with self._lock:
            times, self._times = self._times, 0
            self._causes.clear()
        if times:
            log.info("trouble over", what=self._what, failures=times)
