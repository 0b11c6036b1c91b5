"""The queue on this machine: a lease table in a SQLite file, with the semantics of Pub/Sub that workers rely on.

A message waits until it is due, is leased to the worker that pulls it, and is deleted by the ack. A nack, or a lease
that runs out, makes it wait for the back-off; after the last attempt it becomes a dead letter, in a queue of the same
file that is pulled like any other. Any number of processes and threads may use one file at once.

A row waits (`leased` 0; `due`: when it may be delivered) or is leased (`leased` 1; `due`: when the lease runs out), in
the queue itself (`dead` 0) or among the dead letters (`dead` 1). Times are wall clock times. Where the clock was set
back, rows lie further ahead than any lease or back-off reaches: those count as due, so that nothing is held for longer
than its own length.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from transport.event import Message
from transport.queue import Backlog, Policy, QueueError
from transport.queues.sqlite.queue_file import QueueFile, policy_in

BATCH = 1000  # messages per transaction: long enough to be fast, short enough (about 10 ms) for others to wait for
POLL = 0.025  # seconds between two looks of a pull that waits; a look reads a few places of an index
SUBSCRIPTION = "workers"  # what dead letters call the queue that they come from
CLOCK_NOISE = 1.0  # seconds that a clock may be set back without that being taken for a jump

_INSERT = "INSERT INTO message (dead, due, published, attributes, data) VALUES (?, ?, ?, ?, ?)"
# What is there for a pull to do: is a message due, and is any overdue? A few places of the index.
# Parameters: dead, now, noise.
_WORK = """
SELECT EXISTS (SELECT 1 FROM message WHERE dead = :dead AND leased = 0 AND due <= :now),
       EXISTS (SELECT 1 FROM message WHERE dead IN (0, 1) AND leased = 1 AND due <= :now)
    OR EXISTS (SELECT 1 FROM message WHERE dead IN (0, 1) AND leased = 0 AND due > :now + max_backoff + :noise)
    OR EXISTS (SELECT 1 FROM message WHERE dead IN (0, 1) AND leased = 1 AND due > :now + lease + :noise)
FROM policy"""


@dataclass(frozen=True, slots=True)
class LocalDelivery:
    """One delivery: number and attempt name it, so that no worker acks a message that went to another."""

    message: Message
    id: str
    attempt: int
    _queue: LocalQueue = field(repr=False)

    def ack(self) -> None:
        self._queue.ack(int(self.id), self.attempt)

    def nack(self) -> None:
        self._queue.nack(int(self.id), self.attempt)

    def extend(self) -> None:
        self._queue.extend(int(self.id), self.attempt)


class LocalQueue:
    """The queue in the SQLite file at `url` (made if missing), or with `dead_letters` the dead letters of that queue.

    `policy` is kept in the file and holds for every process that uses it: given, it replaces what is there; not given,
    what is there holds, and a new file gets the default. `clock` gives seconds since 1970: the table has wall clock
    times, because processes share it. One object serves many threads; it must not be carried over a fork.
    """

    def __init__(
        self,
        url: str,
        *,
        dead_letters: bool = False,
        policy: Policy | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._file = QueueFile(Path(url).expanduser().absolute(), policy)
        self._dead = dead_letters
        self._clock = clock
        self._closed = threading.Event()

    @property
    def url(self) -> str:
        return str(self._file.path)

    @property
    def policy(self) -> Policy:
        return self._file.policy()

    def publish(self, messages: Iterable[Message]) -> int:
        """Adds messages, one transaction per BATCH. Raises QueueError; the batches before it are then in the queue."""
        count, coming = 0, iter(messages)
        while batch := list(islice(coming, BATCH)):
            rows = [(json.dumps(dict(message.attributes)), message.data) for message in batch]
            with self._file.transaction() as connection:
                now = self._clock()
                connection.executemany(_INSERT, ((self._dead, now, now, *row) for row in rows))
            count += len(rows)
        return count

    def pull(self, max_messages: int, wait: float) -> list[LocalDelivery]:
        """Up to `max_messages` deliveries, those due longest first; looks every POLL seconds until one is due."""
        give_up = time.monotonic() + wait
        while not self._closed.is_set():
            try:
                due, unsettled = self._work()
                if (due or unsettled) and (taken := self._take(max_messages, unsettled)):
                    return taken
            except QueueError:
                if not self._closed.is_set():  # closed by another thread between our two looks
                    raise
            remaining = give_up - time.monotonic()
            if remaining <= 0:
                break
            self._closed.wait(min(POLL, remaining))
        return []

    def ack(self, number: int, attempt: int) -> None:
        """Deletes message `number`, if that attempt is still the newest."""
        with self._file.transaction() as connection:
            connection.execute(
                "DELETE FROM message WHERE number = ? AND dead = ? AND attempt = ?", (number, self._dead, attempt)
            )

    def nack(self, number: int, attempt: int) -> None:
        """Ends that attempt's lease at once."""
        with self._file.transaction() as connection:
            _give_back(connection, policy_in(connection), self._dead, number, attempt, self._clock())

    def extend(self, number: int, attempt: int) -> None:
        """A whole lease from now, if the lease is still that attempt's."""
        with self._file.transaction() as connection:
            connection.execute(
                "UPDATE message SET due = ? WHERE number = ? AND dead = ? AND attempt = ? AND leased = 1",
                (self._clock() + policy_in(connection).lease, number, self._dead, attempt),
            )

    def backlog(self) -> Backlog:
        with self._file.transaction() as connection:
            now = self._clock()
            _end_overdue(connection, policy_in(connection), now)
            counts = dict(connection.execute("SELECT dead * 2 + leased, count(*) FROM message GROUP BY dead, leased"))
            # The unary plus keeps SQLite to the order of numbers, in which the first that waits is the oldest.
            oldest = connection.execute(
                "SELECT published FROM message WHERE +dead = ? AND +leased = 0 ORDER BY number LIMIT 1", (self._dead,)
            ).fetchone()
        waiting, leased = (counts.get(self._dead * 2 + state, 0) for state in (0, 1))
        dead = 0 if self._dead else counts.get(2, 0) + counts.get(3, 0)
        return Backlog(waiting, leased, dead, max(0.0, now - oldest[0]) if oldest else None)

    def trouble(self) -> str:
        """Nothing: a pull that fails raises."""
        return ""

    def verify(self) -> None:
        """Writes to the file and takes it back. Raises QueueError where the file cannot be written."""
        with self._file.transaction() as connection:
            connection.execute("SAVEPOINT trial")
            connection.execute(_INSERT, (self._dead, self._clock(), self._clock(), "{}", b""))
            connection.execute("ROLLBACK TO trial")

    def close(self) -> None:
        """Ends a pull that waits. Nothing is pulled ahead; what is in hand comes again when its lease runs out."""
        self._closed.set()
        self._file.close()

    def _work(self) -> tuple[bool, bool]:
        # Asked outside a transaction: a pull that finds nothing must not take the writers' turn 40 times a second.
        parameters = {"dead": self._dead, "now": self._clock(), "noise": CLOCK_NOISE}
        [(due, unsettled)] = self._file.read(_WORK, parameters)
        return bool(due), bool(unsettled)

    def _take(self, max_messages: int, unsettled: bool) -> list[LocalDelivery]:
        with self._file.transaction() as connection:
            # The time is read inside the transaction: before it, others may have given leases that begin later.
            now, policy = self._clock(), policy_in(connection)
            if unsettled:
                _end_overdue(connection, policy, now)
            rows = connection.execute(
                "UPDATE message SET leased = 1, due = ?, attempt = attempt + 1 WHERE number IN"
                " (SELECT number FROM message WHERE dead = ? AND leased = 0 AND due <= ? ORDER BY due LIMIT ?)"
                " RETURNING number, attempt, attributes, data",
                (now + policy.lease, self._dead, now, max_messages),
            ).fetchall()
        return [
            LocalDelivery(Message(data, json.loads(attributes)), str(number), attempt, self)
            for number, attempt, attributes, data in sorted(rows)
        ]


def backoff(policy: Policy, attempt: int) -> float:
    """How many seconds a message waits after its `attempt`-th delivery (from 1) was nacked or its lease ran out."""
    return min(policy.max_backoff, policy.min_backoff * 2.0 ** min(attempt - 1, 60))


def _end_overdue(connection: sqlite3.Connection, policy: Policy, now: float) -> None:
    """Ends the leases that ran out by `now`, and makes due what a clock that was set back would hold for too long."""
    for leased, longest in ((0, policy.max_backoff), (1, policy.lease)):
        connection.execute(
            "UPDATE message SET due = ? WHERE dead IN (0, 1) AND leased = ? AND due > ?",
            (now, leased, now + longest + CLOCK_NOISE),
        )
    expired = connection.execute(
        "SELECT number, dead, attempt, due FROM message WHERE dead IN (0, 1) AND leased = 1 AND due <= ?", (now,)
    ).fetchall()
    for number, dead, attempt, ended in expired:
        _give_back(connection, policy, bool(dead), number, attempt, ended)


def _give_back(
    connection: sqlite3.Connection, policy: Policy, dead: bool, number: int, attempt: int, ended: float
) -> None:
    """Ends the lease of `attempt` at the time `ended`, if it still stands; back-off, or death after the last one."""
    if not dead and attempt >= policy.max_delivery_attempts:
        _bury(connection, number, attempt, ended)
        return
    connection.execute(
        "UPDATE message SET leased = 0, due = ? WHERE number = ? AND dead = ? AND attempt = ? AND leased = 1",
        (ended + backoff(policy, attempt), number, dead, attempt),
    )


def _bury(connection: sqlite3.Connection, number: int, attempt: int, now: float) -> None:
    row = connection.execute(
        "SELECT attributes, published FROM message WHERE number = ? AND dead = 0 AND attempt = ? AND leased = 1",
        (number, attempt),
    ).fetchone()
    if row is None:
        return
    attributes, published = row
    arrived = datetime.fromtimestamp(published, UTC).isoformat(timespec="milliseconds")
    source = {  # named and written as Pub/Sub does it
        "CloudPubSubDeadLetterSourceDeliveryCount": str(attempt),
        "CloudPubSubDeadLetterSourceSubscription": SUBSCRIPTION,
        "CloudPubSubDeadLetterSourceTopicPublishTime": arrived.replace("+00:00", "Z"),
    }
    connection.execute(
        "UPDATE message SET dead = 1, leased = 0, attempt = 0, due = ?, published = ?, attributes = ? WHERE number = ?",
        (now, now, json.dumps({**json.loads(attributes), **source}), number),
    )
