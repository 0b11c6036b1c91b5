"""How a publisher is: what it answers at /healthz and /readyz, and the figures that are looked up and not counted."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from edge import metrics
from edge.cached import Cached
from edge.health import overdue
from edge.signals import Checks
from publisher.loop import PublisherLoop
from transport.queue import Backlog, Queue, QueueError

BACKLOG_SECONDS = 5.0
UNKNOWN = Backlog(waiting=None, leased=None, dead=None)


@dataclass
class PublisherVitals:
    """Looks at a publisher's parts; `interval` between its full passes."""

    queue: Queue
    loop: PublisherLoop
    interval: float
    stalled_seconds: float
    _backlog: Cached[Backlog] = field(init=False)

    def __post_init__(self) -> None:
        self._backlog = Cached(self._ask, UNKNOWN, BACKLOG_SECONDS)

    def health(self) -> Checks:
        """A pass with failed steps is progress too: a restart would not mend them."""
        since = time.monotonic() - self.loop.progressed
        return {"progress": overdue(since, self.interval, self.stalled_seconds, "the publisher")}

    def readiness(self) -> Checks:
        """Ready once a full pass has ended in which every step could be done."""
        done = self.loop.last_pass
        if done is None:
            return {"pass": "the first pass has not ended yet"}
        return {"pass": f"{done.errors} steps of the last pass failed; the log says which" if done.errors else ""}

    def refresh(self) -> None:
        backlog = self._backlog.get()
        known = backlog.waiting is not None
        metrics.BACKLOG_OLDEST.set((backlog.oldest_waiting_seconds or 0.0) if known else float("nan"))

    def _ask(self) -> Backlog:
        try:
            return self.queue.backlog()
        except QueueError:
            return UNKNOWN
