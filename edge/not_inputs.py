"""Objects that look like inputs and are none: each is told once."""

from __future__ import annotations

from threading import Lock

import structlog

REMEMBERED = 10_000

log = structlog.get_logger()


class NotInputs:
    """Tells of names; of more than REMEMBERED some may be told again. Any number of threads may tell."""

    def __init__(self) -> None:
        self._told: set[str] = set()
        self._telling = Lock()

    def tell(self, name: str, reason: str | None) -> None:
        """Logs the name with its reason, if it has one and was not told yet."""
        if reason is None:
            return
        with self._telling:
            if name in self._told:
                return
            if len(self._told) >= REMEMBERED:
                self._told.clear()
            self._told.add(name)
        log.info("not an input", file=name, reason=reason)
