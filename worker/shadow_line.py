"""The line of scored files that wait for their shadow. A shadow that fails is recorded, and its message is acked."""

from __future__ import annotations

import time
from collections.abc import Callable
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

    `limit`: seconds that a file's shadow may take, more for a big file (`Limits.seconds_allowed`); `longest`: how many
    files may wait; the shadow of any further file is skipped.
    """

    def __init__(
        self, bucket: Bucket, leases: Leases, pool: Pool, size: int, *, limit: float = 60.0, longest: int = 1000
    ) -> None:
        self._bucket = bucket
        self._leases = leases
        self._pool = pool
        self._limit = limit
        self._longest = longest
        self._threads = ThreadPoolExecutor(size, thread_name_prefix="shadow")
        self._waiting: dict[Future[None], Delivery] = {}
        self._since: dict[Future[None], float] = {}  # in the order in which they were sent
        self._lock = Lock()
        self._draining = False

    def __len__(self) -> int:
        return len(self._waiting)

    def oldest(self) -> float:
        """Seconds since the first file in line was sent; 0 where the line is empty."""
        with suppress(StopIteration, RuntimeError):  # RuntimeError: the line changed during the look
            return time.monotonic() - next(iter(self._since.values()))
        return 0.0

    def send(self, delivery: Delivery, shadow: Shadow) -> None:
        """Takes over the delivery: it is acked once the shadow has run, or has failed and that is recorded."""
        with self._lock:
            if self._draining:
                self._leases.give_back(delivery)  # its receipt stands: the shadow can wait for another worker
                return
            if len(self._waiting) < self._longest:
                future = self._threads.submit(self._run, delivery, shadow, traces.current())
                self._waiting[future] = delivery
                self._since[future] = time.monotonic()
                future.add_done_callback(self._forget)
                return
        self._failed(shadow, f"skipped: {self._longest} files were waiting for their shadow")
        self._leases.ack(delivery)

    def drain(self, deadline: float, end_now: Callable[[], None]) -> None:
        """Gives back what waits, finishes what runs until `deadline` (monotonic), then calls `end_now`."""
        with self._lock:
            self._draining = True
            running = dict(self._waiting)
        for future, delivery in running.items():
            if future.cancel():
                self._leases.give_back(delivery)
        wait(running, timeout=max(0.0, deadline - time.monotonic()))
        end_now()
        self._threads.shutdown(wait=True)

    def _forget(self, future: Future[None]) -> None:
        # Called by a thread that may hold the lock: by `submit` itself where the shadow is done at once.
        self._waiting.pop(future, None)
        self._since.pop(future, None)

    def _run(self, delivery: Delivery, shadow: Shadow, parent: Any) -> None:
        with traces.span("shadow", parent=parent, model_version=shadow.staging.spec.version):
            self._compare(delivery, shadow)

    def _compare(self, delivery: Delivery, shadow: Shadow) -> None:
        started = time.monotonic()
        try:
            event, limits = shadow.event, shadow.limits
            seconds = limits.seconds_allowed(self._limit, event.name, stored_size(self._bucket, event))
            self._leases.allow(delivery, seconds)
            self._pool.run(shadow, seconds)
        except Exception as error:  # noqa: BLE001 - no error of a shadow affects production
            if self._draining:
                self._leases.give_back(delivery)
                return
            self._failed(shadow, for_logs(error), kind_of(error))
        else:
            metrics.STEP_SECONDS.labels("shadow").observe(time.monotonic() - started)
            log.info(
                "shadow compared",
                file=shadow.event.name,
                generation=str(shadow.event.generation),
                model_version=shadow.staging.spec.version,
                seconds=round(time.monotonic() - started, 3),
            )
        self._leases.ack(delivery)

    def _failed(self, shadow: Shadow, reason: str, kind: str = "") -> None:
        metrics.SHADOW_FAILURES.inc()
        told = log.bind(file=shadow.event.name, generation=str(shadow.event.generation))
        told.warning("shadow failed", error=reason, kind=kind, consequence="production is not affected")
        record = failed_record(shadow.event, str(shadow.production), str(shadow.staging.spec), reason)
        try:
            record_comparison(self._bucket, shadow.receipt.key, record)
        except Exception as error:  # noqa: BLE001 - after any error the message is acked
            told.warning("failed comparison not recorded", error=str(error))
