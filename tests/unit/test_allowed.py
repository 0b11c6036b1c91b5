"""A big file may take long: a worker with one in hand is well for as long as that, and no longer."""

from __future__ import annotations

from dataclasses import replace
from threading import Event
from typing import Any

import pytest

from tests.memory import MemoryBucket, MemoryQueue
from tests.worker_fixtures import Here, Worker, dropped, fetched, survey
from transport.queues.sqlite.queue import LocalQueue
from worker import leases
from worker.versions.swap import InForce
from worker.vitals import Vitals

GIGABYTE = 1_000_000_000


class Watching(Here):
    """A pool that says how the worker is while a file is under way, as its clock goes on."""

    def __init__(self, bucket: MemoryBucket, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(bucket)
        self.monkeypatch, self.vitals, self.seen, self.timeout = monkeypatch, None, {}, 0.0

    def run(self, task: Any, timeout: float) -> Any:
        self.timeout = timeout
        now = leases.time.monotonic()
        for passed in (60, 3_000, 9_000, 11_000):
            self.monkeypatch.setattr("worker.leases.time.monotonic", lambda passed=passed: now + passed)
            self.seen[passed] = self.vitals.health()["progress"]
        self.monkeypatch.undo()
        return super().run(task, timeout)


def test_a_worker_is_well_while_its_file_may_still_take_its_time(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a file of a gigabyte, as its message says, for which there are 600 s for each 64 MB
    bucket, queue = MemoryBucket(), LocalQueue(str(tmp_path / "queue.db"))
    event = dropped(bucket, "big.csv", survey(3))
    message = replace(event, size=GIGABYTE).to_message()
    queue.publish([message])
    pool = Watching(bucket, monkeypatch)
    worker = Worker(bucket, queue, pool, Here(bucket), InForce(fetched(tmp_path, "1")))
    pool.vitals = Vitals(queue, worker.leases, worker.line, worker.follower, Event(), 300.0, 600.0, worker.loop)

    worker.handle()

    # Then it is well for 9,375 s and the 300 s without progress that are always allowed
    assert pool.timeout == pytest.approx(9_375)
    assert [passed for passed, trouble in pool.seen.items() if trouble] == [11_000]
    assert "with what is in hand" in pool.seen[11_000]
    assert worker.leases.allowed() == 0.0
    worker.leases.give_all_back()
    queue.close()


@pytest.mark.parametrize("said", [None, 96_000_000])
def test_a_shadow_s_time_grows_with_the_file_too_whoever_tells_its_size(said: int | None, tmp_path: Any) -> None:
    # Given a file of 96 MB, half as much again as what the seconds are meant for
    bucket, queue = MemoryBucket(), MemoryQueue()
    event = replace(dropped(bucket, "big.csv", survey(3)), size=said)
    stat = bucket.stat
    bucket.stat = lambda name: (info := stat(name)) and replace(info, size=96_000_000 if name == "big.csv" else 1)
    queue.publish([event.to_message()])
    pool, shadows = Timed(bucket), Timed(bucket)
    versions = InForce(fetched(tmp_path, "1"), fetched(tmp_path, "2", bias=2.0))
    worker = Worker(bucket, queue, pool, shadows, versions, options={"score_seconds": 600.0}, shadow_seconds=60.0)

    worker.handle()

    assert (pool.timeouts, shadows.timeouts) == ([900.0], [90.0])


class Timed(Here):
    """A pool that remembers how long its tasks may take."""

    def __init__(self, bucket: MemoryBucket) -> None:
        super().__init__(bucket)
        self.timeouts: list[float] = []

    def run(self, task: Any, timeout: float) -> Any:
        self.timeouts.append(timeout)
        return super().run(task, timeout)
