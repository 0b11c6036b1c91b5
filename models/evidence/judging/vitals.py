"""How `models watch` is: what it answers at /healthz and /readyz."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from edge.health import overdue
from edge.signals import Checks


@dataclass
class WatchVitals:
    """Told of each look; `interval` between them."""

    interval: float
    stalled_seconds: float
    _since: float = field(default_factory=time.monotonic)
    _wrong: str = "the first look has not ended yet"

    def looked(self, complete: bool) -> None:
        """A look has ended; `complete` where everything could be read and written."""
        self._since = time.monotonic()
        self._wrong = "" if complete else "something could not be read or written in the last look; the log says what"

    def health(self) -> Checks:
        return {"progress": overdue(time.monotonic() - self._since, self.interval, self.stalled_seconds, "the watch")}

    def readiness(self) -> Checks:
        return {"look": self._wrong}

    def refresh(self) -> None:
        return
