"""Objects that look like inputs and are none: each is told once."""

from __future__ import annotations

from threading import Lock

import structlog

REMEMBERED = 100_000

log = structlog.get_logger()


class NotInputs:
    """Tells of names, and remembers the last REMEMBERED that it told of. Any number of threads may tell."""

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._remembered = remembered
        self._told: dict[int, None] = {}  # hashes of names, the oldest first: a tenth of what names would take
        self._telling = Lock()

    def tell(self, name: str, reason: str | None) -> None:
        """Logs the name and its reason, once. A name without a reason is logged at level debug."""
        if reason is None:
            log.debug("not an input", file=name)
            return
        with self._telling:
            if hash(name) in self._told:
                return
            if len(self._told) >= self._remembered:
                del self._told[next(iter(self._told))]
            self._told[hash(name)] = None
        log.info("not an input", file=name, reason=reason)
