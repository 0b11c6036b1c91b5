"""A scoring that holds the interpreter's lock for longer than its message's lease: the message is delivered once."""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from deploy.waiting import wait_for
from ledger.names import Key
from ledger.receipt import Status
from tests.cloud.holding import HeldPool, WatchedQueue
from tests.contract.queues import MARKER, PUBSUB, Queues, ensure_topology
from tests.worker_fixtures import Worker, dropped, fetched, receipt_of, survey
from transport.buckets.folder.bucket import FolderBucket
from transport.queue import Delivery
from transport.queues.pubsub.names import Names
from worker.versions.follow import InForce

pytestmark = [pytest.mark.emulator, pytest.mark.slow, pytest.mark.timeout(300)]


@dataclass(frozen=True)
class HoldTheLock:
    """Keeps every other thread of its process from running until a byte comes through the pipe; notes for how long.

    `begun` is there from just before.
    """

    pipe: Path
    note: Path
    begun: Path

    def run(self, _workshop: Any) -> None:
        beats = [time.monotonic()]
        stop = threading.Event()

        def beat() -> None:
            while not stop.wait(0.01):
                beats.append(time.monotonic())

        thread = threading.Thread(target=beat)
        thread.start()
        pipe = os.open(self.pipe, os.O_RDONLY)
        self.begun.touch()
        ctypes.PyDLL(None).read(pipe, ctypes.create_string_buffer(1), 1)  # one call of C, which keeps the lock
        os.close(pipe)
        stop.set()
        thread.join()
        beats.append(time.monotonic())
        self.note.write_text(str(max(later - earlier for earlier, later in pairwise(beats))))


@pytest.fixture
def held_pool(tmp_path: Path) -> Iterator[HeldPool]:
    pool = HeldPool(1, str(tmp_path / "bucket"), log_level="error")
    pool.first = HoldTheLock(tmp_path / "pipe", tmp_path / "longest", tmp_path / "begun")
    os.mkfifo(pool.first.pipe)
    yield pool
    pool.kill()


class Neglected:
    """A message in a queue of its own that nobody extends: it comes again as often as a lease has run out."""

    def __init__(self, queues: Queues) -> None:
        self._queues, self._queue = queues, queues.open()
        self._queue.publish([MARKER])
        self.last: Delivery = queues.pull(self._queue, 1)[0]

    def wait_for_a_lease(self) -> None:
        """Until a lease that began after now, or at the last wait's end, has run out: by Pub/Sub's own clock."""
        self.last.nack()
        for _ in range(2):
            [self.last] = self._queues.pull(self._queue, 1)


@pytest.mark.parametrize("queues", ["pubsub"], indirect=True)
def test_it_is_delivered_once(queues: Queues, held_pool: HeldPool, pubsub_project: str, tmp_path: Path) -> None:
    # Given: a worker on Pub/Sub, with a lease of ten seconds, and beside it a message that nobody extends
    queue, bucket = WatchedQueue(queues.open()), FolderBucket(str(tmp_path / "bucket"))
    assert queue.policy.lease == PUBSUB.lease == 10
    others = Queues(f"pubsub://{pubsub_project}/others", PUBSUB)
    ensure_topology(Names.parse(others.url), PUBSUB)
    neglected = Neglected(others)
    worker = Worker(bucket, queue, held_pool, held_pool, InForce(fetched(tmp_path, "1")), {"score_seconds": 250.0})
    thread = threading.Thread(target=worker.loop.run)
    thread.start()
    pipe = os.open(held_pool.first.pipe, os.O_RDWR)

    # When: a file comes whose scoring does not end before a whole lease has run out
    event = dropped(bucket, "a.csv", survey(30))
    key = Key(event.name, event.generation)
    try:
        queues.open().publish([event.to_message()])
        wait_for(held_pool.first.begun.exists, "a scoring that holds the lock")
        neglected.wait_for_a_lease()

        # Then: it did not come again, for it was extended meanwhile
        assert [delivery.attempt for delivery in queue.pulled] == [1]
        wait_for(lambda: queue.pulled[0].extended >= 3, "its extensions")
        assert bucket.stat(key.receipt) is None
        os.write(pipe, b"!")
        wait_for(lambda: bucket.stat(key.receipt), "the receipt")

        # And: nor does it come after a lease that began later
        wait_for(lambda: len(worker.leases) == 0, "the ack")
        neglected.wait_for_a_lease()
    finally:
        os.write(pipe, b"!!!!")
        worker.stopping.set()
        thread.join(60)
        os.close(pipe)
        for opened in others.opened:
            opened.close()
    assert [delivery.attempt for delivery in queue.pulled] == [1]
    assert receipt_of(bucket, key).status is Status.SCORED

    # And: it was as hard as it was meant to be
    assert float(held_pool.first.note.read_text()) > queue.policy.lease
