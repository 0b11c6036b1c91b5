"""A scoring that holds the interpreter's lock for 90 seconds, under a lease of 10: the message is delivered once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, repeat
from pathlib import Path
from typing import Any

import pytest

from deploy.waiting import wait_for
from ledger.names import Key
from ledger.receipt import Status
from models.registry import FetchedVersion
from tests.contract.queues import Queues
from tests.worker_fixtures import Worker, dropped, fetched, receipt_of, survey
from transport.event import Message
from transport.folder import FolderBucket
from transport.queue import Backlog, Delivery, Policy, Queue
from worker.follow import InForce
from worker.pool import Pool
from worker.scoring_process import Workshop

pytestmark = [pytest.mark.emulator, pytest.mark.slow, pytest.mark.timeout(300)]

SECONDS = 90.0
AT_A_TIME = 30.0  # a machine that becomes several times slower meanwhile is still within its time


def hold_the_lock(seconds: float) -> float:
    """Keeps every other thread of this process from running, AT_A_TIME; gives the longest that one was kept so."""
    beats = [time.monotonic()]
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(0.01):
            beats.append(time.monotonic())

    thread = threading.Thread(target=beat)
    thread.start()
    until = time.monotonic() + seconds
    turns, took = 100_000, 0.0
    while (left := until - time.monotonic()) > 0:
        turns = max(1_000_000, int(turns * min(left * 0.9, AT_A_TIME) / took)) if took > 0.01 else 10 * turns
        started = time.monotonic()
        sum(repeat(1, turns))  # one call of C, which never gives the lock away
        took = time.monotonic() - started
    stop.set()
    thread.join()
    return max(later - earlier for earlier, later in pairwise(beats))


@dataclass(frozen=True)
class Held:
    """A task that is done only after the lock was held for long; the time is noted in a file."""

    task: Any
    note: Path

    def run(self, workshop: Workshop) -> Any:
        self.note.write_text(str(hold_the_lock(SECONDS)))
        return self.task.run(workshop)


class SlowPool(Pool):
    """Real scoring processes, whose every task holds the lock first."""

    note: Path

    def run_next(self, make: Callable[[], Any], timeout: float) -> Any:
        return super().run_next(lambda: Held(make(), self.note), timeout)


@dataclass
class Counting:
    """A queue that keeps what was pulled from it."""

    queue: Queue

    def __post_init__(self) -> None:
        self.pulled: list[Delivery] = []

    @property
    def url(self) -> str:
        return self.queue.url

    @property
    def policy(self) -> Policy:
        return self.queue.policy

    def pull(self, max_messages: int, wait: float) -> Sequence[Delivery]:
        deliveries = self.queue.pull(max_messages, wait)
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


@pytest.fixture
def version(tmp_path: Path) -> FetchedVersion:
    return fetched(tmp_path, "1")


@pytest.fixture
def slow_pool(tmp_path: Path) -> Iterator[SlowPool]:
    pool = SlowPool(1, str(tmp_path / "bucket"), log_level="error")
    pool.note = tmp_path / "longest"
    yield pool
    pool.kill()


@pytest.mark.parametrize("queues", ["pubsub"], indirect=True)
def test_it_is_delivered_once(queues: Queues, slow_pool: SlowPool, version: FetchedVersion, tmp_path: Path) -> None:
    # Given: a worker on Pub/Sub, with a lease of ten seconds, whose scoring takes ninety
    queue, bucket = Counting(queues.open()), FolderBucket(str(tmp_path / "bucket"))
    assert queue.policy.lease == 10
    worker = Worker(bucket, queue, slow_pool, slow_pool, InForce(version), {"score_seconds": 250.0})
    thread = threading.Thread(target=worker.loop.run)
    thread.start()

    # When: a file comes
    event = dropped(bucket, "a.csv", survey(30))
    key = Key(event.name, event.generation)
    started = time.monotonic()
    try:
        queues.open().publish([event.to_message()])
        wait_for(lambda: bucket.stat(key.receipt), seconds=250)
        took = time.monotonic() - started

        # Then: nothing comes again while it is scored, nor for as long as a message that was not acked would take
        again = threading.Event()
        deadline = time.monotonic() + 2 * queue.policy.lease
        while time.monotonic() < deadline and len(queue.pulled) == 1:
            again.wait(0.1)
    finally:
        worker.stopping.set()
        thread.join(60)
    assert [delivery.attempt for delivery in queue.pulled] == [1]
    assert receipt_of(bucket, key).status is Status.SCORED

    # And: it was as hard as it was meant to be
    longest = float(slow_pool.note.read_text())
    print(f"\nscored in {took:.0f} s, the lock held for {longest:.0f} s in one go; {len(queue.pulled)} delivery")
    assert took >= SECONDS
    assert longest > 2 * queue.policy.lease
