"""How a worker is: what it answers at /healthz and /readyz, and the figures that are looked up and not counted."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from threading import Event

from edge import metrics
from edge.cached import Cached
from edge.health import Liveness, what_stalls
from edge.signals import Checks
from models.registry.client import PRODUCTION
from transport.queue import Backlog, Queue, QueueError
from worker.leases import Leases
from worker.loop import Loop
from worker.shadow_line import ShadowLine
from worker.versions.follow import Follower

BACKLOG_SECONDS = 5.0  # that an answer is kept: a queue on this machine counts its messages for each one
TROUBLE_SECONDS = 60.0  # between two times that an idle worker asks its queue how it is
UNKNOWN = Backlog(waiting=None, leased=None, dead=None)


@dataclass
class Vitals:
    """Looks at a worker's parts. `loop` is None until files are scored; the times are as the worker was told."""

    queue: Queue
    leases: Leases
    line: ShadowLine
    follower: Follower
    stopping: Event
    stalled_seconds: float
    score_seconds: float
    loop: Loop | None = None
    _backlog: Cached[Backlog] = field(init=False)
    _trouble: Cached[str] = field(init=False)

    def __post_init__(self) -> None:
        self._backlog = Cached(self._ask, UNKNOWN, BACKLOG_SECONDS)
        self._trouble = Cached(self.queue.trouble, "", TROUBLE_SECONDS)

    def health(self) -> Checks:
        """A worker that ends, or that has no model yet, is healthy: a restart would not help it."""
        if self.loop is None or self.stopping.is_set():
            return {"progress": ""}
        one_file = max(self.score_seconds, self.leases.allowed())  # a big file may take longer
        return {"progress": what_stalls(self._standing(self.loop), self.stalled_seconds, one_file)}

    def readiness(self) -> Checks:
        """`access` is always well: a worker that may not use its bucket and queue has ended at its start."""
        started = "" if self.loop else "files are not scored yet"
        return {
            "access": "",
            "models": self.follower.missing,
            "loop": "the worker ends" if self.stopping.is_set() else started,
        }

    def refresh(self) -> None:
        metrics.IN_HAND.set(len(self.leases))
        shadows = self.line.standing()
        for alias, (waiting, oldest) in shadows.items():
            metrics.SHADOW_BACKLOG.labels(alias).set(waiting)
            metrics.SHADOW_OLDEST.labels(alias).set(oldest)
        oldest_waiting = self._oldest_waiting()
        known = self._backlog.get().waiting is not None
        metrics.BACKLOG_OLDEST.set((oldest_waiting or 0.0) if known else float("nan"))
        in_force = self.follower.in_force
        for alias in (PRODUCTION, *shadows):
            version = in_force.of(alias)
            if version is None or version.spec.made is None:
                metrics.MODEL_AGE.remove_by_labels({"alias": alias})
            else:
                metrics.MODEL_AGE.labels(alias).set(time.time() - version.spec.made)

    def _standing(self, loop: Loop) -> Liveness:
        since_done = self.leases.since_done()
        idle = len(self.leases) == 0 and since_done > self.stalled_seconds
        return Liveness(
            since_look=None if loop.looked is None else time.monotonic() - loop.looked,
            since_done=since_done,
            youngest_in_hand=self.leases.youngest(),
            oldest_waiting=self._oldest_waiting(),
            queue_trouble=self._trouble.get() if idle else "",
        )

    def _oldest_waiting(self) -> float | None:
        return self._backlog.get().oldest_waiting_seconds

    def _ask(self) -> Backlog:
        try:
            return self.queue.backlog()
        except QueueError:  # the loop's own pull meets the same error, and logs it
            return UNKNOWN
