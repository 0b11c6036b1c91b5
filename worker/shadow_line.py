"""The lines of scored files that wait for their shadows. A shadow that fails is recorded, and its message is acked."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from threading import Lock
from typing import Any

import structlog

from edge import metrics, traces
from transport.bucket import Bucket
from transport.queue import Delivery
from worker.leases import Leases
from worker.processes.pool import Pool
from worker.processes.process import for_logs, kind_of
from worker.scoring.score import stored_size
from worker.shadow import Shadow, failed_record, record_comparison

log = structlog.get_logger()


class ShadowLine:
    """Runs shadows in processes of their own, so that production never waits for one.

    Each challenger, an alias of `pools`, has a line of its own with `size` threads: one that is slow keeps no other
    waiting. `limit`: seconds that a file's shadow may take, more for a big file (`Limits.seconds_allowed`); `longest`:
    how many files may wait in a line; the shadow of any further file is skipped.
    """

    def __init__(
        self,
        bucket: Bucket,
        leases: Leases,
        pools: Mapping[str, Pool],
        size: int,
        *,
        limit: float = 60.0,
        longest: int = 1000,
    ) -> None:
        self._bucket = bucket
        self._leases = leases
        self._limit = limit
        self._longest = longest
        self._lines = {alias: _Line(pool, size) for alias, pool in pools.items()}
        self._lock = Lock()
        self._draining = False

    def __len__(self) -> int:
        return sum(len(line.waiting) for line in self._lines.values())

    def standing(self) -> dict[str, tuple[int, float]]:
        """By alias: how many shadows wait or run, and seconds since the first of them was sent (0 where none does)."""
        return {alias: (len(line.waiting), line.oldest()) for alias, line in self._lines.items()}

    def send(self, delivery: Delivery, shadows: Sequence[Shadow]) -> None:
        """Takes over the delivery: it is acked once each shadow has run, or has failed and that is recorded."""
        shared = _Shared(self._leases, delivery, len(shadows))
        skipped = []
        with self._lock:
            if self._draining:
                self._leases.give_back(delivery)  # its receipt stands: the shadows can wait for another worker
                return
            for shadow in shadows:
                line = self._lines[shadow.alias]
                if len(line.waiting) < self._longest:
                    line.take(shared, self._run, shared, shadow, traces.current())
                else:
                    skipped.append(shadow)
        for shadow in skipped:
            self._failed(shadow, f"skipped: {self._longest} files were waiting for their shadow")
            shared.end()

    def drain(self, deadline: float, end_now: Callable[[], None]) -> None:
        """Gives back what waits, finishes what runs until `deadline` (monotonic), then calls `end_now`."""
        with self._lock:
            self._draining = True
            running = [one for line in self._lines.values() for one in line.waiting.items()]
        for future, (shared, _) in running:
            if future.cancel():
                shared.end(ran=False)
        wait([future for future, _ in running], timeout=max(0.0, deadline - time.monotonic()))
        end_now()
        for line in self._lines.values():
            line.threads.shutdown(wait=True)

    def _run(self, shared: _Shared, shadow: Shadow, parent: Any) -> None:
        with traces.span("shadow", parent=parent, model_version=shadow.staging.spec.version, alias=shadow.alias):
            self._compare(shared, shadow)

    def _compare(self, shared: _Shared, shadow: Shadow) -> None:
        started = time.monotonic()
        try:
            event, limits = shadow.event, shadow.limits
            seconds = limits.seconds_allowed(self._limit, event.name, stored_size(self._bucket, event))
            self._leases.allow(shared.delivery, seconds)
            self._lines[shadow.alias].pool.run(shadow, seconds)
        except Exception as error:  # noqa: BLE001 - no error of a shadow affects production
            if self._draining:
                shared.end(ran=False)
                return
            self._failed(shadow, for_logs(error), kind_of(error))
        else:
            metrics.STEP_SECONDS.labels("shadow").observe(time.monotonic() - started)
            log.info(
                "shadow compared",
                file=shadow.event.name,
                generation=str(shadow.event.generation),
                alias=shadow.alias,
                model_version=shadow.staging.spec.version,
                seconds=round(time.monotonic() - started, 3),
            )
        shared.end()

    def _failed(self, shadow: Shadow, reason: str, kind: str = "") -> None:
        metrics.SHADOW_FAILURES.labels(shadow.alias).inc()
        told = log.bind(file=shadow.event.name, generation=str(shadow.event.generation), alias=shadow.alias)
        told.warning("shadow failed", error=reason, kind=kind, consequence="production is not affected")
        record = failed_record(shadow.event, str(shadow.production), str(shadow.staging.spec), reason)
        try:
            record_comparison(self._bucket, shadow.key, record)
        except Exception as error:  # noqa: BLE001 - after any error the message is acked
            told.warning("failed comparison not recorded", error=str(error))


class _Line:
    """One challenger's: `waiting` has each shadow that waits or runs, and when it was sent (monotonic), in order."""

    def __init__(self, pool: Pool, size: int) -> None:
        self.pool = pool
        self.threads = ThreadPoolExecutor(size, thread_name_prefix="shadow")
        self.waiting: dict[Future[None], tuple[_Shared, float]] = {}

    def take(self, shared: _Shared, run: Callable[..., None], *arguments: Any) -> None:
        """Has a thread call `run` with these arguments, once one is free."""
        future = self.threads.submit(run, *arguments)
        self.waiting[future] = shared, time.monotonic()
        future.add_done_callback(self._forget)

    def oldest(self) -> float:
        with suppress(StopIteration, RuntimeError):  # RuntimeError: the line changed during the look
            return time.monotonic() - next(iter(self.waiting.values()))[1]
        return 0.0

    def _forget(self, future: Future[None]) -> None:
        # Called by a thread that may hold the lock: by `take` itself where the shadow is done at once.
        self.waiting.pop(future, None)


class _Shared:
    """A delivery with several shadows: done with when the last of them has ended."""

    def __init__(self, leases: Leases, delivery: Delivery, shadows: int) -> None:
        self.delivery = delivery
        self._leases = leases
        self._left = shadows
        self._all_ran = True
        self._lock = Lock()

    def end(self, *, ran: bool = True) -> None:
        """One shadow has ended. After the last the delivery is acked, or given back where one has not `ran`."""
        with self._lock:
            self._left -= 1
            self._all_ran = self._all_ran and ran
            if self._left:
                return
        if self._all_ran:
            self._leases.ack(self.delivery)
        else:
            self._leases.give_back(self.delivery)
