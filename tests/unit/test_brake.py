"""A bad disk or a bad release slows a worker down; it does not dead-letter the backlog."""

from __future__ import annotations

import threading

import pytest
from structlog.testing import capture_logs

from deploy.waiting import SECONDS, wait_for
from ledger.names import Key
from ledger.receipt import Status
from tests.memory import MemoryBucket, MemoryQueue
from tests.worker_fixtures import Here, Worker, contents, dropped, fetched, receipt_of, survey
from transport.bucket import AccessRefused, BucketError, NoSpace, ObjectNotFound
from transport.queue import Policy
from transport.queues.sqlite.queue import LocalQueue
from worker.brake import UNLUCKY, Brake
from worker.processes.process import ScorerDied, TaskFailed
from worker.versions.swap import InForce

SOON = Policy(lease=60.0, min_backoff=0.001, max_backoff=0.002)


def fine():
    return


def refused():
    raise AccessRefused("its file system is mounted read-only")


@pytest.mark.parametrize(
    ("error", "verify", "held"),
    [
        (NoSpace("no space is left"), fine, True),
        (TaskFailed("NoSpace", "no space is left"), fine, True),
        (AccessRefused("read-only"), refused, True),
        (TaskFailed("BucketError", "503"), refused, True),
        (TaskFailed("AccessRefused", "'output/pred_a.csv' cannot be written: a folder has that name"), fine, False),
        (BucketError("the name is too long"), fine, False),
        (ObjectNotFound("gone"), refused, False),
        (ScorerDied("killed"), refused, False),
        (TaskFailed("UnfitModel", "its bytes have changed"), refused, False),
    ],
)
def test_only_what_other_files_would_meet_too_holds_a_file(error, verify, held):
    with capture_logs() as logs:
        assert Brake(verify, first_pause=0.0).hold(error, 0) is held

    assert len(logs) == held


def test_a_worker_that_ends_holds_nobody():
    brake = Brake(refused, first_pause=60.0)
    held: list[bool] = []
    thread = threading.Thread(target=lambda: held.append(brake.hold(NoSpace("full"), 0)))
    thread.start()

    brake.release()

    thread.join(SECONDS)
    assert held == [False]
    assert brake.hold(NoSpace("full"), 0) is False


class TestAFullBucket:
    def full(self, bucket, room):
        """From now on nothing is written below output/ until `room` is set."""

        def hook(operation, name):
            if operation == "commit" and name.startswith("output/") and not room.is_set():
                raise NoSpace("no space is left on its disk; free some")

        bucket.hook = hook

    def worker(self, bucket, queue, tmp_path, **options):
        brake = Brake(bucket.verify, first_pause=0.001, longest_pause=0.01)
        pool = Here(bucket)
        versions = InForce(fetched(tmp_path, "1"))
        return Worker(bucket, queue, pool, Here(bucket), versions, options={"brake": brake}, **options)

    def test_files_stay_in_hand_and_are_scored_in_their_first_attempt_once_there_is_room(self, tmp_path):
        # Given a bucket without room, and more files than a worker takes at once
        bucket, room = MemoryBucket(), threading.Event()
        queue = LocalQueue(str(tmp_path / "queue.db"), policy=SOON)
        events = [dropped(bucket, f"{n}.csv", survey(3)) for n in range(6)]
        queue.publish([event.to_message() for event in events])
        self.full(bucket, room)
        worker = self.worker(bucket, queue, tmp_path, room=2)

        # When it has tried for far longer than five attempts take
        with capture_logs() as logs:
            thread = threading.Thread(target=worker.loop.run, kwargs={"until_idle": 0.0})
            thread.start()
            wait_for(lambda: len([log for log in logs if log["event"].startswith("bucket does not take")]) > 30)
            backlog = queue.backlog()
            room.set()
            thread.join(SECONDS)

        # Then only what it had room for was taken, nothing was given up, and no attempt was counted
        assert (backlog.waiting, backlog.leased, backlog.dead) == (4, 2, 0)
        receipts = [receipt_of(bucket, Key(event.name, event.generation)) for event in events]
        assert {(receipt.status, receipt.attempt) for receipt in receipts} == {(Status.SCORED, 1)}
        assert not contents(bucket, "output/.claims/")
        assert not [log for log in logs if log["event"] == "attempt failed"]
        queue.close()

    def test_a_worker_told_to_end_gives_them_back_at_once(self, tmp_path):
        bucket, room = MemoryBucket(), threading.Event()
        queue = LocalQueue(str(tmp_path / "queue.db"), policy=SOON)
        queue.publish([dropped(bucket, "a.csv", survey(3)).to_message()])
        self.full(bucket, room)
        worker = self.worker(bucket, queue, tmp_path, drain_seconds=60.0)
        worker.handler.brake._first = worker.handler.brake._longest = 60.0
        thread = threading.Thread(target=worker.loop.run)
        thread.start()
        wait_for(lambda: worker.scorers.tasks)

        worker.stopping.set()

        thread.join(SECONDS)
        assert not thread.is_alive()
        assert queue.backlog().waiting == 1
        queue.close()


class Failing(Here):
    """A pool whose tasks fail as with a bad release, until it is mended."""

    mended = False

    def run(self, task, timeout):
        self.tasks.append(task)
        if not self.mended:
            raise ScorerDied("its scoring process ended with exit status 1")
        return task.run(self.workshop)


class TestABadRelease:
    def test_after_many_failures_one_file_at_a_time_is_pulled_until_one_goes_well(self, tmp_path):
        bucket = MemoryBucket()
        queue = LocalQueue(str(tmp_path / "queue.db"), policy=SOON)
        events = [dropped(bucket, f"{n:02}.csv", survey(3)) for n in range(60)]
        queue.publish([event.to_message() for event in events])
        pool = Failing(bucket)
        brake = Brake(bucket.verify, first_pause=0.1, longest_pause=0.2)
        versions = InForce(fetched(tmp_path, "1"))
        worker = Worker(bucket, queue, pool, Here(bucket), versions, options={"brake": brake}, room=4)

        with capture_logs() as logs:
            thread = threading.Thread(target=worker.loop.run, kwargs={"until_idle": 0.0})
            thread.start()
            # When it has failed often, and a few times more
            wait_for(lambda: len([log for log in logs if log["event"].startswith("attempt after attempt")]) >= 3)
            tried = len(pool.tasks)
            pool.mended = True
            thread.join(SECONDS)

        # Then few of them were tried, and all are scored in the end
        assert UNLUCKY <= tried <= UNLUCKY + 4 + 4
        assert {receipt_of(bucket, Key(e.name, e.generation)).status for e in events} == {Status.SCORED}
        assert not brake.is_on
        queue.close()

    def test_a_few_bad_files_among_good_ones_slow_nobody_down(self):
        brake = Brake(fine)
        for _ in range(3):
            for _ in range(UNLUCKY - 1):
                brake.attempt_failed()
            assert not brake.is_on
            brake.went_well()

    def test_a_brake_that_is_on_ends_with_the_worker(self, tmp_path):
        bucket, queue = MemoryBucket(), MemoryQueue()
        worker = Worker(bucket, queue, Failing(bucket), Here(bucket), InForce(fetched(tmp_path, "1")))
        for _ in range(UNLUCKY + 20):
            worker.handler.brake.attempt_failed()
        thread = threading.Thread(target=worker.loop.run)
        with capture_logs() as logs:
            thread.start()
            wait_for(lambda: logs)
            worker.stopping.set()
            thread.join(SECONDS)

        assert not thread.is_alive()
