"""A scoring that holds the interpreter's lock for 90 seconds, under a lease of 10: how long it is, and how often."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise, repeat
from pathlib import Path
from typing import Any

import pytest

from deploy.waiting import wait_for
from ledger.names import Key
from ledger.receipt import Status
from tests.cloud.holding import HeldPool, WatchedQueue
from tests.contract import queues as contract_queues
from tests.contract.queues import Queues
from tests.measure.figures import Figures
from tests.worker_fixtures import Worker, dropped, fetched, receipt_of, survey
from transport.buckets.folder.bucket import FolderBucket
from worker.versions.follow import InForce

pytestmark = [pytest.mark.emulator, pytest.mark.timeout(400)]

SECONDS = 90.0
AT_A_TIME = 30.0  # a machine that becomes several times slower meanwhile is still within its time

queues = contract_queues.queues


@dataclass(frozen=True)
class HoldTheLock:
    """Keeps every other thread of its process from running, AT_A_TIME; notes the longest that one was kept so."""

    note: Path

    def run(self, _workshop: Any) -> None:
        beats = [time.monotonic()]
        stop = threading.Event()

        def beat() -> None:
            while not stop.wait(0.01):
                beats.append(time.monotonic())

        thread = threading.Thread(target=beat)
        thread.start()
        until = time.monotonic() + SECONDS
        turns, took = 100_000, 0.0
        while (left := until - time.monotonic()) > 0:
            turns = max(1_000_000, int(turns * min(left * 0.9, AT_A_TIME) / took)) if took > 0.01 else 10 * turns
            started = time.monotonic()
            sum(repeat(1, turns))  # one call of C, which never gives the lock away
            took = time.monotonic() - started
        stop.set()
        thread.join()
        self.note.write_text(str(max(later - earlier for earlier, later in pairwise(beats))))


@pytest.fixture
def held_pool(tmp_path: Path) -> Iterator[HeldPool]:
    pool = HeldPool(1, str(tmp_path / "bucket"), log_level="error")
    pool.first = HoldTheLock(tmp_path / "longest")
    yield pool
    pool.kill()


@pytest.mark.parametrize("queues", ["pubsub"], indirect=True)
def test_a_long_scoring(queues: Queues, held_pool: HeldPool, tmp_path: Path, figures: Figures) -> None:
    # Given: a worker on Pub/Sub, with a lease of ten seconds, whose scoring takes ninety
    queue, bucket = WatchedQueue(queues.open()), FolderBucket(str(tmp_path / "bucket"))
    assert queue.policy.lease == 10
    worker = Worker(bucket, queue, held_pool, held_pool, InForce(fetched(tmp_path, "1")), {"score_seconds": 250.0})
    thread = threading.Thread(target=worker.loop.run)
    thread.start()

    # When: a file comes
    event = dropped(bucket, "a.csv", survey(30))
    key = Key(event.name, event.generation)
    started = time.monotonic()
    try:
        queues.open().publish([event.to_message()])
        wait_for(lambda: bucket.stat(key.receipt), "the receipt", seconds=250)
        took = time.monotonic() - started
        # Then: for as long as a message that was not acked would take
        threading.Event().wait(2 * queue.policy.lease)
    finally:
        worker.stopping.set()
        thread.join(60)
    assert receipt_of(bucket, key).status is Status.SCORED
    figures.note("scored in", took, "s", at_least=SECONDS)
    figures.note("the lock held in one go", float(held_pool.first.note.read_text()), "s", at_least=2 * 10.0)
    figures.note("deliveries", len(queue.pulled), at_most=1)
