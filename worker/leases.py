"""The deliveries that this worker holds: their leases are kept until each is acked or given back."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event, Lock, Thread

import structlog

from edge import metrics
from edge.trouble import Trouble
from transport.queue import Delivery, Queue, QueueError

log = structlog.get_logger()


class Leases:
    """Deliveries that were taken and are not done. Any thread may take, ack and give back."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self.trouble = Trouble("queue")  # with any call to the queue
        self._held: dict[int, Delivery] = {}
        self._allowed: dict[int, float] = {}
        self._taken_last = self._done_last = time.monotonic()
        self._lock = Lock()
        self._stop = Event()
        self._keeper = Thread(target=self._keep_leases, daemon=True, name="leases")
        self._keeper.start()

    def __len__(self) -> int:
        return len(self._held)

    def since_done(self) -> float:
        """Seconds since a delivery was last acked, given back or tried again; before the first one, since the start."""
        return time.monotonic() - self._done_last

    def youngest(self) -> float | None:
        """Seconds since the newest delivery was taken; None where none is held."""
        return time.monotonic() - self._taken_last if self._held else None

    def take(self, delivery: Delivery) -> None:
        """Keeps the delivery's lease from now on."""
        with self._lock:
            self._held[id(delivery)] = delivery
            self._taken_last = time.monotonic()

    def allow(self, delivery: Delivery, seconds: float) -> None:
        """The work on this delivery may take so many seconds."""
        with self._lock:
            if id(delivery) in self._held:
                self._allowed[id(delivery)] = seconds

    def allowed(self) -> float:
        """The longest time in seconds that a delivery in hand may take, as far as it is known."""
        with self._lock:
            return max(self._allowed.values(), default=0.0)

    def tried(self) -> None:
        """A delivery in hand has failed and is tried again: the worker does not stand still."""
        self._done_last = time.monotonic()

    def ack(self, delivery: Delivery) -> None:
        """Ends the message. Never raises: where the queue fails, the message comes again to a file with a receipt."""
        self._drop(delivery)
        self._tell(delivery.ack, delivery)
        metrics.LAST_PROCESSED.set_to_current_time()

    def give_back(self, delivery: Delivery) -> None:
        """The message comes again after the back-off. Never raises: where the queue fails, the lease runs out."""
        self._drop(delivery)
        self._tell(delivery.nack, delivery)

    def give_all_back(self) -> int:
        """Gives back every delivery still held, and keeps no more leases; returns how many there were."""
        self._stop.set()
        with self._lock:
            left = list(self._held.values())
            self._held.clear()
        for delivery in left:
            self._tell(delivery.nack, delivery)
        return len(left)

    def _drop(self, delivery: Delivery) -> None:
        with self._lock:
            self._held.pop(id(delivery), None)
            self._allowed.pop(id(delivery), None)
            self._done_last = time.monotonic()

    def _keep_leases(self) -> None:
        while not self._stop.wait(self._pause()):
            with self._lock:
                held = list(self._held.values())
            for delivery in held:
                self._tell(delivery.extend, delivery)
            metrics.LEASE_EXTENSIONS.inc(len(held))

    def _pause(self) -> float:
        try:
            return self._queue.policy.lease / 3
        except QueueError as error:
            if self.trouble.is_new(error):
                log.warning("queue does not answer", error=str(error), consequence="leases may run out; tried again")
            return 1.0

    def _tell(self, verb: Callable[[], None], delivery: Delivery) -> None:
        try:
            verb()
        except Exception as error:  # noqa: BLE001 - no error may harm the other deliveries in hand
            if self.trouble.is_new(error):
                log.warning(
                    "queue not told",
                    what=verb.__name__,
                    message_id=delivery.id,
                    error=str(error),
                    consequence="the message may come again, and so may others while this lasts",
                )
