"""How fast the local queue is, beside the barest lease table that SQLite allows: `python -m benchmarks.queue`.

Both run in the same rounds, in two processes each, on files of their own with the same settings; the figures are
medians over the rounds, in messages per second. The bare table has no attempts, back-off, dead letters, due times or
port in front of it: what lies between the two is the price of the queue's semantics.
"""

from __future__ import annotations

import multiprocessing
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.synchronize import Barrier
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from transport.event import Generation, Message, ObjectEvent
from transport.queues.sqlite.queue import LocalQueue

ROUNDS = 5
PROCESSES = 2
MESSAGES = 20_000  # per process and round
WAITING = 100_000  # in the table all the while, behind those that are taken
TARGET = {"put in batches": 15_000, "get one + ack": 5_000}

Work = Callable[[str, int], None]


def event(number: int) -> Message:
    """A message of the size that workers get."""
    return ObjectEvent(
        "airline", f"day/flights-{number:06}.csv", Generation(number), "2026-01-01T00:00:00Z"
    ).to_message()


def queue_put(file: str, count: int) -> None:
    queue = LocalQueue(file)
    queue.publish([EVENT] * count)
    queue.close()


def queue_get(file: str, count: int, at_once: int = 1) -> None:
    queue = LocalQueue(file)
    while count > 0:
        for delivery in queue.pull(at_once, 0):
            delivery.ack()
            count -= 1
    queue.close()


def queue_get_ten(file: str, count: int) -> None:
    queue_get(file, count, at_once=10)


def bare(file: str) -> sqlite3.Connection:
    connection = sqlite3.connect(file, timeout=60, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA wal_autocheckpoint=4000")
    connection.execute("CREATE TABLE IF NOT EXISTS job (id INTEGER PRIMARY KEY, leased REAL, body BLOB)")
    connection.execute("CREATE INDEX IF NOT EXISTS job_leased ON job (leased)")
    return connection


def bare_put(file: str, count: int) -> None:
    connection = bare(file)
    for _ in range(0, count, 1000):
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO job (leased, body) VALUES (0, ?)", [(BODY,)] * 1000)
        connection.execute("COMMIT")
    connection.close()


def bare_get(file: str, count: int, at_once: int = 1) -> None:
    connection = bare(file)
    while count > 0:
        taken = connection.execute(
            "UPDATE job SET leased = ? WHERE id IN (SELECT id FROM job WHERE leased = 0 LIMIT ?) RETURNING id, body",
            (time.time(), at_once),
        ).fetchall()
        for number, _ in taken:
            connection.execute("DELETE FROM job WHERE id = ?", (number,))
            count -= 1
    connection.close()


def bare_get_ten(file: str, count: int) -> None:
    bare_get(file, count, at_once=10)


EVENT = event(1)
BODY = EVENT.data + repr(EVENT.attributes).encode()
STEPS: list[tuple[str, Work, Work]] = [
    ("put in batches", queue_put, bare_put),
    ("get one + ack", queue_get, bare_get),
    ("get ten + ack each", queue_get_ten, bare_get_ten),
]


def _in_step(work: Work, file: str, count: int, barrier: Barrier) -> None:
    barrier.wait()
    work(file, count)
    barrier.wait()


def rate(work: Work, file: str, count: int) -> float:
    """Messages per second that PROCESSES of them do together, from their common start to the last one's end."""
    spawn = multiprocessing.get_context("spawn")
    barrier = spawn.Barrier(PROCESSES + 1)
    running = [spawn.Process(target=_in_step, args=(work, file, count, barrier)) for _ in range(PROCESSES)]
    for process in running:
        process.start()
    barrier.wait()
    started = time.perf_counter()
    barrier.wait()
    took = time.perf_counter() - started
    for process in running:
        process.join()
    return PROCESSES * count / took


def main() -> int:
    console = Console()
    queue_rates: dict[str, list[float]] = {name: [] for name, _, _ in STEPS}
    bare_rates: dict[str, list[float]] = {name: [] for name, _, _ in STEPS}
    with tempfile.TemporaryDirectory() as folder, console.status("measuring"):
        files = str(Path(folder) / "queue.db"), str(Path(folder) / "bare.db")
        queue_put(files[0], WAITING)
        bare_put(files[1], WAITING)
        for _ in range(ROUNDS):
            for name, ours, theirs in STEPS:
                # What was put in one step is taken in two, so the table is as long at the end of a round as before.
                count = MESSAGES if name.startswith("put") else MESSAGES // 2
                queue_rates[name].append(rate(ours, files[0], count))
                bare_rates[name].append(rate(theirs, files[1], count))
    table = Table("messages/s", "queue", "bare table", "queue / bare", "wanted")
    missed = []
    for name, _, _ in STEPS:
        queue_rate, bare_rate, target = median(queue_rates[name]), median(bare_rates[name]), TARGET.get(name)
        wanted = f"at least {target:,}" if target else ""
        table.add_row(name, f"{queue_rate:,.0f}", f"{bare_rate:,.0f}", f"{queue_rate / bare_rate:.2f}", wanted)
        if target and queue_rate < target:
            missed.append(name)
    console.print(f"{PROCESSES} processes, {WAITING:,} messages waiting, medians of {ROUNDS} rounds")
    console.print(table)
    for name in missed:
        console.print(f"slower than wanted: {name}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
