"""Pulling, keeping leases, ending: nothing in hand is lost, and nothing is taken that will not be done."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing

import pytest
from structlog.testing import capture_logs

from deploy.waiting import SECONDS, wait_for
from ledger.names import Key, output_name
from ledger.receipt import Status
from tests.memory import MemoryBucket, MemoryQueue
from tests.worker_fixtures import Here, Worker, contents, dropped, fetched, receipt_of, survey
from transport.queue import Policy, QueueError
from transport.queues.sqlite.queue import LocalQueue
from worker.leases import Leases
from worker.processes.process import ScorerDied
from worker.versions.swap import InForce

PATIENCE = SECONDS


@pytest.fixture
def bucket():
    return MemoryBucket()


class Holding(Here):
    """A pool whose tasks wait until they may go on; `kill` ends them as processes end."""

    def __init__(self, bucket):
        super().__init__(bucket)
        self.going, self.killed, self.running = threading.Event(), threading.Event(), 0

    def run(self, task, timeout):
        self.running += 1
        while not self.going.wait(0.005):
            if self.killed.is_set():
                raise ScorerDied("its scoring process was killed by SIGKILL")
        return super().run(task, timeout)

    def kill(self):
        self.killed.set()


def worker_on(bucket, queue, tmp_path, pool=None, **options):
    pool = pool or Here(bucket)
    return Worker(bucket, queue, pool, Here(bucket), InForce(fetched(tmp_path, "1")), **options)


def publish(queue, bucket, count):
    events = [dropped(bucket, f"{n}.csv", survey(3)) for n in range(count)]
    queue.publish([event.to_message() for event in events])
    return events


def in_thread(worker, **options):
    thread = threading.Thread(target=worker.loop.run, kwargs=options, daemon=True)
    thread.start()
    return thread


def test_until_idle_scores_all_there_is_and_ends(bucket, tmp_path):
    queue = MemoryQueue()
    events = publish(queue, bucket, 20)

    worker_on(bucket, queue, tmp_path).loop.run(until_idle=0.0)

    assert len(queue) == 0
    assert {receipt_of(bucket, Key(event.name, event.generation)).status for event in events} == {Status.SCORED}
    assert all(output_name(event.name) in contents(bucket, "") for event in events)


def test_until_idle_waits_for_messages_in_back_off(bucket, tmp_path):
    # Given a file whose first attempt fails, on a queue that lets it wait
    queue = LocalQueue(str(tmp_path / "queue.db"), policy=Policy(min_backoff=1.0))
    [event] = publish(queue, bucket, 1)

    class FailingOnce(Here):
        def run(self, task, timeout):
            self.tasks.append(task)
            if len(self.tasks) == 1:
                raise ScorerDied("its scoring process was killed by SIGKILL")
            return task.run(self.workshop)

    worker_on(bucket, queue, tmp_path, FailingOnce(bucket)).loop.run(until_idle=0.0)

    # Then the worker did not end before it had its second
    assert receipt_of(bucket, Key(event.name, event.generation)).attempt == 2
    assert queue.backlog().waiting == 0
    queue.close()


def test_until_idle_waits_for_what_others_have_in_hand(bucket, tmp_path):
    # Given a message that another worker has, and loses
    queue = LocalQueue(str(tmp_path / "queue.db"), policy=Policy(lease=1.0, min_backoff=0.1))
    [event] = publish(queue, bucket, 1)
    assert len(queue.pull(1, 1.0)) == 1

    worker_on(bucket, queue, tmp_path).loop.run(until_idle=0.0)

    assert receipt_of(bucket, Key(event.name, event.generation)).status is Status.SCORED
    queue.close()


def test_a_lease_is_kept_during_a_scoring_longer_than_it(bucket, tmp_path):
    # Given a queue's clock that moves only when we like, and a scoring that takes as long as we like
    file, now = str(tmp_path / "queue.db"), [1_000_000.0]
    queue = LocalQueue(file, policy=Policy(lease=0.3, min_backoff=0.1), clock=lambda: now[0])
    [event] = publish(queue, bucket, 1)
    pool = Holding(bucket)
    thread = in_thread(worker_on(bucket, queue, tmp_path, pool), until_idle=0.0)
    wait_for(lambda: pool.running)

    # When someone else would take it for more than two leases, then it is not to be had
    for _ in range(3):
        now[0] += 0.9 * 0.3
        wait_for(lambda: due_in(file) == now[0] + 0.3)
        assert queue.pull(1, 0) == []

    # And it is scored in its first attempt
    pool.going.set()
    thread.join(PATIENCE)
    assert receipt_of(bucket, Key(event.name, event.generation)).attempt == 1
    assert pool.running == 1
    queue.close()


def due_in(file):
    """When the lease of the only message in a queue's file runs out."""
    with closing(sqlite3.connect(file)) as connection:
        [(due,)] = connection.execute("SELECT due FROM message")
    return due


def test_no_more_is_taken_than_there_is_room_for(bucket, tmp_path):
    queue = MemoryQueue()
    publish(queue, bucket, 10)
    pool = Holding(bucket)
    worker = worker_on(bucket, queue, tmp_path, pool, room=3)
    thread = in_thread(worker, until_idle=0.0)

    wait_for(lambda: pool.running == 3)
    assert queue.backlog().leased == 3
    assert queue.backlog().waiting == 7

    pool.going.set()
    thread.join(PATIENCE)
    assert len(queue) == 0


class TestTheEnd:
    def test_what_is_in_hand_is_finished_and_no_more_is_pulled(self, bucket, tmp_path):
        queue = MemoryQueue()
        publish(queue, bucket, 10)
        pool = Holding(bucket)
        worker = worker_on(bucket, queue, tmp_path, pool, room=2)
        thread = in_thread(worker)
        wait_for(lambda: pool.running == 2)

        with capture_logs() as logs:
            worker.stopping.set()
            wait_for(lambda: "draining" in [log["event"] for log in logs])
        pool.going.set()

        thread.join(PATIENCE)
        assert not thread.is_alive()
        assert (queue.backlog().waiting, queue.backlog().leased) == (8, 0)
        assert len(contents(bucket, "output/receipts/")) == 2

    def test_what_does_not_finish_in_time_is_given_back_without_a_mark(self, bucket, tmp_path):
        queue = MemoryQueue()
        publish(queue, bucket, 3)
        pool = Holding(bucket)
        worker = worker_on(bucket, queue, tmp_path, pool, room=2, drain_seconds=0.1)
        thread = in_thread(worker)
        wait_for(lambda: pool.running == 2)

        worker.stopping.set()

        thread.join(PATIENCE)
        assert not thread.is_alive()
        assert (queue.backlog().waiting, queue.backlog().leased) == (3, 0)
        assert set(contents(bucket, "")) == {"0.csv", "1.csv", "2.csv"}

    def test_an_idle_worker_ends_at_once(self, bucket, tmp_path):
        worker = worker_on(bucket, MemoryQueue(), tmp_path)
        thread = in_thread(worker)

        worker.stopping.set()

        thread.join(PATIENCE)
        assert not thread.is_alive()


class TestAQueueThatFails:
    def test_a_pull_that_fails_is_tried_again(self, bucket, tmp_path, monkeypatch):
        queue = MemoryQueue()
        publish(queue, bucket, 1)
        worker = worker_on(bucket, queue, tmp_path)
        failures = iter([QueueError("the disk is full")])
        pull = queue.pull

        def failing(room, wait):
            for failure in failures:
                raise failure
            return pull(room, wait)

        monkeypatch.setattr(queue, "pull", failing)
        with capture_logs() as logs:
            worker.loop.run(until_idle=0.0)

        assert len(queue) == 0
        assert "pull failed" in [log["event"] for log in logs]

    def test_while_the_backlog_is_unknown_nothing_is_taken_for_granted(self, bucket, tmp_path, monkeypatch):
        queue = MemoryQueue()
        worker = worker_on(bucket, queue, tmp_path)
        failures = iter([QueueError("locked"), QueueError("locked")])
        backlog, asked = queue.backlog, []

        def failing():
            asked.append(True)
            for failure in failures:
                raise failure
            return backlog()

        monkeypatch.setattr(queue, "backlog", failing)
        worker.loop.run(until_idle=0.0)

        assert len(asked) >= 3

    def test_the_keeper_of_the_leases_survives_it(self):
        # Given a queue that cannot even say how long its leases are, once
        class Queue(MemoryQueue):
            failures = iter([QueueError("locked")])

            @property
            def policy(self):
                for failure in self.failures:
                    raise failure
                return Policy(lease=0.03)

        class Delivery:
            id = "7"
            extended = 0

            def extend(self):
                self.extended += 1
                raise QueueError("locked")

            def nack(self):
                raise QueueError("locked")

        delivery = Delivery()
        leases = Leases(Queue())
        leases.take(delivery)

        wait_for(lambda: delivery.extended > 2)

        assert leases.give_all_back() == 1
        wait_for(lambda: not leases._keeper.is_alive())


def test_two_workers_on_one_queue_make_one_receipt_per_file(bucket, tmp_path):
    # Given each event five times, and two workers pulling at once
    queue = LocalQueue(str(tmp_path / "queue.db"), policy=Policy(min_backoff=0.1))
    events = [event for event in publish(queue, bucket, 12) for _ in range(5)]
    queue.publish([event.to_message() for event in events[:-12]])
    workers = [worker_on(bucket, queue, tmp_path, room=4) for _ in range(2)]
    threads = [in_thread(worker, until_idle=0.0) for worker in workers]
    for thread in threads:
        thread.join(PATIENCE)

    # Then there is one output and one receipt of each, and neither changed after it was written
    names = set(contents(bucket, "output/"))
    assert names == {output_name(e.name) for e in events} | {Key(e.name, e.generation).receipt for e in events}
    generations = sorted(bucket.stat(name).generation for name in names)
    queue.publish([event.to_message() for event in events[:12]])
    worker_on(bucket, queue, tmp_path).loop.run(until_idle=0.0)
    assert sorted(bucket.stat(name).generation for name in names) == generations
    queue.close()
