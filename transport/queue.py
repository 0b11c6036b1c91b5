"""The port `Queue`: messages delivered at least once, under a lease. Adapters: `sqlite`, `pubsub`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from transport.event import Message


class QueueError(Exception):
    """The queue could not do it; its text says what to do."""


class QueueMissing(QueueError):
    """There is no such queue, or it is gone with its messages. The text names the command that makes it."""


@dataclass(frozen=True)
class Policy:
    """How a queue delivers. Times in seconds.

    `lease`: how long a delivery stays its puller's unless extended. `max_delivery_attempts`: a message delivered so
    often without an ack becomes a dead letter (5 to 100, as Pub/Sub has it). A nacked message, or one whose lease ran
    out, comes again after `min_backoff` doubled with each attempt, at most `max_backoff`.
    """

    lease: float = 30.0
    max_delivery_attempts: int = 5
    min_backoff: float = 1.0
    max_backoff: float = 60.0


@dataclass(frozen=True)
class Backlog:
    """How many messages wait, are leased to someone, and were dead-lettered; None where the queue cannot say."""

    waiting: int | None
    leased: int | None
    dead: int | None
    oldest_waiting_seconds: float | None = None


class Delivery(Protocol):
    """One delivery of one message, ours until its lease runs out."""

    @property
    def message(self) -> Message: ...

    @property
    def id(self) -> str:
        """The message's id: the same in each of its deliveries."""

    @property
    def attempt(self) -> int:
        """The number of this delivery of the message, from 1; 0 where the queue does not count."""

    def ack(self) -> None:
        """Done: it does not come again. Too late (the lease ran out and it went to another): no effect, no error."""

    def nack(self) -> None:
        """Give it back: it comes again after the queue's back-off, or is dead-lettered if that was its last attempt."""

    def extend(self) -> None:
        """Hold it for one more lease, counted from now. Too late: no effect, no error."""


class Queue(Protocol):
    """Messages, each delivered at least once, in no promised order. Any method may raise QueueError."""

    @property
    def url(self) -> str: ...

    @property
    def policy(self) -> Policy: ...

    def publish(self, messages: Iterable[Message]) -> int:
        """Adds messages, in batches; all are safely in the queue when it returns. Says how many."""

    def pull(self, max_messages: int, wait: float) -> Sequence[Delivery]:
        """Up to `max_messages` deliveries; waits at most `wait` seconds for the first, and then for no more.

        May be called from one thread while others ack, nack and extend.
        """

    def backlog(self) -> Backlog:
        """What waits here now, as far as the queue can say."""

    def trouble(self) -> str:
        """Why no message comes although `pull` raises nothing, in words; empty where all is well. Takes seconds."""

    def verify(self) -> None:
        """Uses the queue once in each way a program needs it. Raises QueueError saying what is missing."""

    def close(self) -> None:
        """Stops pulling, gives back what was not handed out. Deliveries in hand can no longer be acked."""
