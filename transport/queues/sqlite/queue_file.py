"""The SQLite file of a local queue: its layout, and transactions that wait their turn.

One connection per process, behind a lock: SQLite lets one writer in at a time anyway, and threads that queue at a lock
are woken at once, where connections of their own would poll the file against each other. Between processes the writers'
turn is taken with BEGIN IMMEDIATE, so that no transaction fails half-way for having begun as a reader.

WAL with synchronous=NORMAL: a killed process loses nothing that was committed. A power cut may lose the last
transactions (the file stays sound): lost publishes are repaired by the reconciling publisher, which finds inputs
without a receipt; a lost ack is one redelivery. An fsync per ack would cost most of the speed and buy no more.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import astuple
from pathlib import Path
from typing import Any, TypeVar

import structlog

from transport.queue import Policy, QueueError

APPLICATION_ID = 0x55515545  # in the file's header: this is a queue of ours
LAYOUT = 1
PATIENCE = 60.0  # seconds to wait for other writers, whose transactions take milliseconds
# AUTOINCREMENT: a number is never used again, so number, queue and attempt name one delivery for good.
_TABLE = """
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
_INDEX = "CREATE INDEX message_due ON message (dead, leased, due)"
_POLICY = "CREATE TABLE policy (lease REAL, max_delivery_attempts INTEGER, min_backoff REAL, max_backoff REAL)"
_READ_POLICY = "SELECT lease, max_delivery_attempts, min_backoff, max_backoff FROM policy"
_SETTINGS = (
    "synchronous=NORMAL",
    "journal_size_limit=67108864",  # bytes that the log may keep after a checkpoint
)
PAGE = 4096
MOST_PAGES, LEAST_PAGES = 4000, 16  # of the log between two checkpoints, which cost two fsyncs each
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)

T = TypeVar("T")

log = structlog.get_logger()


class QueueFile:
    """An open queue file, made where there is none. Raises QueueError for anything that is not, or cannot be, a queue.

    `policy`, where given, replaces the one in the file; a new file without gets the default.
    """

    def __init__(self, path: Path, policy: Policy | None) -> None:
        self.path = path
        self._policy = policy
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None  # of the file behind the connection, once SQLite has made it
        self._closed = False
        self._goes_over = False
        self._open_patiently()

    def _open_patiently(self) -> None:
        """Makes the file. Another process may still hold a deleted one; it reopens on its next call."""
        give_up = time.monotonic() + PATIENCE
        while True:
            try:
                self._open()
                return
            except QueueError as error:
                if not _index_is_anothers(error.__cause__) or time.monotonic() > give_up:
                    raise
            time.sleep(0.05)

    def _open(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(
                self.path, timeout=PATIENCE, isolation_level=None, check_same_thread=False
            )
        except (OSError, sqlite3.Error) as error:
            raise QueueError(f"the queue {self.path} cannot be opened: {error}") from error
        try:
            self._prepare(self._policy)
        except BaseException:
            self._let_go()
            raise
        self._identity = self._identity_at_path()

    def _stay_at_path(self) -> None:
        """Goes over to the file that has the path now, and makes it where it was removed.

        A connection goes on with a removed file as if nothing had happened, while a program that starts later uses the
        new file: messages would be published to a file that no worker reads.
        """
        if self._closed or (self._connection and self._identity in (None, self._identity_at_path())):
            return
        self._goes_over = self._goes_over or self._connection is not None
        self._let_go()
        self._open()
        if self._goes_over:
            self._goes_over = False
            log.warning(
                "the queue's file was removed or replaced; going on with the one that is there now",
                queue=str(self.path),
                consequence="what was in it is published again when a publisher starts, at the latest after an hour",
            )

    def _identity_at_path(self) -> tuple[int, int]:
        try:
            status = os.stat(self.path)
        except OSError:
            return (0, 0)
        return status.st_dev, status.st_ino

    def _let_go(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection, self._identity = None, None

    def _prepare(self, policy: Policy | None) -> None:
        self._refuse_other_files()
        [(mode,)] = self.read("PRAGMA journal_mode=WAL")
        if mode != "wal":
            raise QueueError(f"the queue {self.path} cannot keep a write-ahead log; put it on a local disk")
        for setting in (*_SETTINGS, f"wal_autocheckpoint={self._pages()}"):
            self.read(f"PRAGMA {setting}")
        with self.transaction() as connection:
            new = connection.execute("PRAGMA application_id").fetchone() == (0,)
            if new:
                for statement in (_TABLE, _INDEX, _POLICY):
                    connection.execute(statement)
                # So that a delivery of an earlier file at this path never has the number of one from this file.
                connection.execute("INSERT INTO sqlite_sequence VALUES ('message', ?)", (time.time_ns() // 1_000_000,))
                connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version={LAYOUT}")
            if new or policy is not None:
                connection.execute("DELETE FROM policy")
                connection.execute("INSERT INTO policy VALUES (?, ?, ?, ?)", astuple(policy or Policy()))

    def _pages(self) -> int:
        """How long the log may grow: an eighth of the room there is, within bounds."""
        disk = os.statvfs(self.path.parent)
        return max(LEAST_PAGES, min(MOST_PAGES, disk.f_bavail * disk.f_frsize // PAGE // 8))

    def _refuse_other_files(self) -> None:
        [(application, layout, tables)] = self.read(
            "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_master)"
            " FROM pragma_application_id, pragma_user_version"
        )
        if application == APPLICATION_ID and layout != LAYOUT:
            raise QueueError(
                f"the queue {self.path} was made by another release (layout {layout}, this one reads {LAYOUT});"
                " remove it while nothing runs: the publisher publishes again what has no receipt"
            )
        if application != APPLICATION_ID and (application or layout or tables):
            raise QueueError(f"{self.path} is a SQLite database, but not a queue; choose another file for QUEUE")

    def read(self, statement: str, parameters: Mapping[str, object] | None = None) -> list[tuple[Any, ...]]:
        """The rows of one statement, which is its own transaction."""
        with self._lock, self._explained():
            self._stay_at_path()
            return self._patiently(lambda connection: connection.execute(statement, parameters or {}).fetchall())

    def policy(self) -> Policy:
        """The policy in force, for every process that uses this file."""
        [row] = self.read(_READ_POLICY)
        return Policy(*row)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """The file for this block alone; what the block writes is kept unless it raises."""
        with self._lock, self._explained():
            self._stay_at_path()
            connection = self._patiently(lambda connection: connection.execute("BEGIN IMMEDIATE").connection)
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException as error:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL:
                    self._make_room(connection)
                raise

    def _make_room(self, connection: sqlite3.Connection) -> None:
        """Empties the log into the file, before the next try: on a small disk the log alone may take all the room."""
        with suppress(sqlite3.Error):  # there is no room for that either: a person has to free some
            connection.execute(f"PRAGMA wal_autocheckpoint={LEAST_PAGES}")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self) -> None:
        """Afterwards every use raises QueueError; closing again does nothing."""
        with self._lock:
            self._closed = True
            self._let_go()

    def _patiently(self, step: Callable[[sqlite3.Connection], T]) -> T:
        """One step, again while others hold the file.

        SQLite's own time-out does most of the waiting, but it does not cover recovery after a kill, the change to WAL,
        and the last connection closing.
        """
        if self._connection is None:
            raise QueueError(f"the queue {self.path} is closed; what was pulled from it is delivered again")
        give_up = time.monotonic() + PATIENCE
        while True:
            try:
                return step(self._connection)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF not in _BUSY or time.monotonic() > give_up:
                    raise
                time.sleep(0.005)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            what = f"the queue {self.path} cannot be used: {error}"
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in _BUSY:
                what += f" for {PATIENCE:.0f} s; look for another program that keeps the file open for writing"
            if _index_is_anothers(error):
                what += "; another program still has a removed file of this name open, and lets go when it uses it next"
            raise QueueError(what) from error


def _index_is_anothers(error: BaseException | None) -> bool:
    """True while another program has a removed file open: its index (-shm) lies where the new file's belongs."""
    return getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_IOERR_SHORT_READ


def policy_in(connection: sqlite3.Connection) -> Policy:
    """The policy in force, read inside a transaction."""
    return Policy(*connection.execute(_READ_POLICY).fetchone())
