"""The worker's loop: pulls as much as it has room for, hands it on, and drains when it is told to end."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from threading import Event

import structlog

from transport.queue import Delivery, Queue, QueueError
from worker.handle import Handler
from worker.leases import Leases
from worker.processes.pool import Pool
from worker.shadow_line import ShadowLine

log = structlog.get_logger()

PULL_SECONDS = 0.5


@dataclass
class Loop:
    """`room`: how many files may be under way at once, shadows not counted. Set `stopping` to end the loop."""

    queue: Queue
    leases: Leases
    handler: Handler
    shadow_line: ShadowLine
    pools: Sequence[Pool]
    room: int
    drain_seconds: float = 25.0
    stopping: Event = field(default_factory=Event)
    looked: float | None = None  # when it last looked for work, or saw that it has no room (monotonic)

    def run(self, until_idle: float | None = None) -> None:
        """Works until `stopping`, or until nothing has been left to do for `until_idle` seconds; then drains."""
        under_way: set[Future[None]] = set()
        busy_at = time.monotonic()
        with ThreadPoolExecutor(self.room, thread_name_prefix="file") as threads:
            while not self.stopping.is_set():
                self.looked = time.monotonic()
                under_way = {future for future in under_way if not future.done()}
                if len(under_way) >= self.room:
                    wait(under_way, timeout=PULL_SECONDS, return_when="FIRST_COMPLETED")
                    continue
                room = self.room - len(under_way)
                if self.handler.brake.is_on:
                    room = 1
                    if under_way:
                        wait(under_way, timeout=PULL_SECONDS)
                        continue
                    if self.stopping.wait(self.handler.brake.pause()):
                        break
                for delivery in self._pull(room):
                    self.leases.take(delivery)
                    under_way.add(threads.submit(self.handler.handle, delivery))
                if under_way or len(self.leases) or (until_idle is not None and self._something_waits()):
                    busy_at = time.monotonic()
                elif until_idle is not None and time.monotonic() - busy_at >= until_idle:
                    break
            self._drain(under_way)

    def _pull(self, room: int) -> Sequence[Delivery]:
        try:
            pulled = self.queue.pull(room, PULL_SECONDS)
        except QueueError as error:
            if self.leases.trouble.is_new(error):
                log.warning("pull failed", error=str(error), consequence="tried again")
            self.stopping.wait(1.0)
            return []
        self.leases.trouble.over()
        return pulled

    def _something_waits(self) -> bool:
        try:
            backlog = self.queue.backlog()
        except QueueError as error:
            if self.leases.trouble.is_new(error):
                log.warning("backlog unknown", error=str(error), consequence="it is asked again")
            return True
        return bool(backlog.waiting or backlog.leased)

    def _drain(self, under_way: set[Future[None]]) -> None:
        """Finishes what is in hand within `drain_seconds`, and gives the rest back."""
        deadline = time.monotonic() + self.drain_seconds
        self.handler.brake.release()
        log.info("draining", in_hand=len(self.leases), seconds=self.drain_seconds)
        wait(under_way, timeout=self.drain_seconds)
        self.shadow_line.drain(deadline, end_now=self._end_scoring)
        log.info("stopped", given_back=self.leases.give_all_back())

    def _end_scoring(self) -> None:
        self.handler.ending.set()
        for pool in self.pools:
            pool.kill()
