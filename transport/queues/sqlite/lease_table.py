"""Messages under leases, as rows of SQLite: each step is a few statements inside the caller's transaction.

A row waits (`leased` 0; `due`: when it may be delivered) or is leased (`leased` 1; `due`: when the lease runs out), in
the queue itself (`dead` 0) or among the dead letters (`dead` 1). Times are wall clock times. Where the clock was set
back, rows lie further ahead than any lease or back-off reaches: those count as due, so that nothing is held for longer
than its own length.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from datetime import UTC, datetime

from transport.queue import Policy

SUBSCRIPTION = "workers"  # what dead letters call the queue that they come from
CLOCK_NOISE = 1.0  # seconds that a clock may be set back without that being taken for a jump

# AUTOINCREMENT: a number is never used again, so number, queue and attempt name one delivery for good.
TABLE = """
CREATE TABLE message (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    dead INTEGER NOT NULL,
    leased INTEGER NOT NULL DEFAULT 0,
    due REAL NOT NULL,
    attempt INTEGER NOT NULL DEFAULT 0,
    published REAL NOT NULL,
    attributes TEXT NOT NULL,
    data BLOB NOT NULL
)"""
INDEX = "CREATE INDEX message_due ON message (dead, leased, due)"
# What is there for a pull to do: is a message due, and is any overdue? A few places of the index.
# Parameters: dead, now, noise.
WORK = """
SELECT EXISTS (SELECT 1 FROM message WHERE dead = :dead AND leased = 0 AND due <= :now),
       EXISTS (SELECT 1 FROM message WHERE dead IN (0, 1) AND leased = 1 AND due <= :now)
    OR EXISTS (SELECT 1 FROM message WHERE dead IN (0, 1) AND leased = 0 AND due > :now + max_backoff + :noise)
    OR EXISTS (SELECT 1 FROM message WHERE dead IN (0, 1) AND leased = 1 AND due > :now + lease + :noise)
FROM policy"""

TakenRow = tuple[int, int, str, bytes]  # number, attempt, attributes as JSON, data


def backoff(policy: Policy, attempt: int) -> float:
    """How many seconds a message waits after its `attempt`-th delivery (from 1) was nacked or its lease ran out."""
    return min(policy.max_backoff, policy.min_backoff * 2.0 ** min(attempt - 1, 60))


def insert(connection: sqlite3.Connection, dead: bool, now: float, rows: Iterable[tuple[str, bytes]]) -> None:
    """Adds messages (attributes as JSON, data), due at once."""
    connection.executemany(
        "INSERT INTO message (dead, due, published, attributes, data) VALUES (?, ?, ?, ?, ?)",
        ((dead, now, now, attributes, data) for attributes, data in rows),
    )


def end_overdue(connection: sqlite3.Connection, policy: Policy, now: float) -> None:
    """Ends the leases that ran out by `now`, and whatever a clock that was set back would hold for too long."""
    for leased, longest in ((0, policy.max_backoff), (1, policy.lease)):
        connection.execute(
            "UPDATE message SET due = ? WHERE dead IN (0, 1) AND leased = ? AND due > ?",
            (now, leased, now + longest + CLOCK_NOISE),
        )
    expired = connection.execute(
        "SELECT number, dead, attempt, due FROM message WHERE dead IN (0, 1) AND leased = 1 AND due <= ?", (now,)
    ).fetchall()
    for number, dead, attempt, ended in expired:
        give_back(connection, policy, bool(dead), number, attempt, ended)


def take(connection: sqlite3.Connection, policy: Policy, dead: bool, now: float, limit: int) -> list[TakenRow]:
    """Leases up to `limit` messages, those due longest first."""
    taken = connection.execute(
        "UPDATE message SET leased = 1, due = ?, attempt = attempt + 1 WHERE number IN"
        " (SELECT number FROM message WHERE dead = ? AND leased = 0 AND due <= ? ORDER BY due LIMIT ?)"
        " RETURNING number, attempt, attributes, data",
        (now + policy.lease, dead, now, limit),
    )
    return sorted(taken.fetchall())


def delete(connection: sqlite3.Connection, dead: bool, number: int, attempt: int) -> None:
    """Ends a message for good, if `attempt` is its newest."""
    connection.execute("DELETE FROM message WHERE number = ? AND dead = ? AND attempt = ?", (number, dead, attempt))


def extend(connection: sqlite3.Connection, policy: Policy, dead: bool, number: int, attempt: int, now: float) -> None:
    """A whole lease from `now`, if the message is still leased as that attempt."""
    connection.execute(
        "UPDATE message SET due = ? WHERE number = ? AND dead = ? AND attempt = ? AND leased = 1",
        (now + policy.lease, number, dead, attempt),
    )


def give_back(
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
