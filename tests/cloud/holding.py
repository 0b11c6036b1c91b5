"""What a worker is given whose scoring is to last: a pool that does something first, a queue that is watched."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from transport.event import Message
from transport.queue import Backlog, Delivery, Policy, Queue
from worker.processes.pool import Pool


@dataclass(frozen=True)
class Held:
    """A task that is done only after another, in the same scoring process."""

    first: Any
    task: Any

    def run(self, workshop: Any) -> Any:
        self.first.run(workshop)
        return self.task.run(workshop)


class HeldPool(Pool):
    """Real scoring processes, in which `first` goes before every task."""

    first: Any

    def run_next(self, make: Callable[[], Any], timeout: float) -> Any:
        return super().run_next(lambda: Held(self.first, make()), timeout)


@dataclass
class Watched:
    """A delivery that counts how often its lease was extended."""

    delivery: Delivery
    extended: int = 0

    @property
    def message(self) -> Message:
        return self.delivery.message

    @property
    def id(self) -> str:
        return self.delivery.id

    @property
    def attempt(self) -> int:
        return self.delivery.attempt

    def ack(self) -> None:
        self.delivery.ack()

    def nack(self) -> None:
        self.delivery.nack()

    def extend(self) -> None:
        self.delivery.extend()
        self.extended += 1


@dataclass
class WatchedQueue:
    """A queue that keeps what was pulled from it."""

    queue: Queue
    pulled: list[Watched] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.queue.url

    @property
    def policy(self) -> Policy:
        return self.queue.policy

    def pull(self, max_messages: int, wait: float) -> Sequence[Delivery]:
        deliveries = [Watched(delivery) for delivery in self.queue.pull(max_messages, wait)]
        self.pulled += deliveries
        return deliveries

    def publish(self, messages: Iterable[Message]) -> int:
        return self.queue.publish(messages)

    def backlog(self) -> Backlog:
        return self.queue.backlog()

    def verify(self) -> None:
        self.queue.verify()

    def close(self) -> None:
        self.queue.close()
