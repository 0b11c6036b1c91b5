"""A scoring process that ends before it has read its task costs the task nothing."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import signal
import struct
import termios
import threading
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from deploy.waiting import wait_for
from ledger.names import Key
from ledger.receipt import Status
from ledger.records import read_failure
from tests.memory import Clock, MemoryQueue
from tests.unit.pool.loaded import PATIENCE, load, loaded
from tests.worker_fixtures import (
    SPEC,
    Call,
    Hostile,
    HostileOnArrival,
    Worker,
    alive,
    dropped,
    fetched,
    receipt_of,
    survey,
    with_example,
)
from transport.buckets.folder.bucket import FolderBucket
from transport.queue import Policy
from worker.processes.pool import TRIES, Pool
from worker.processes.process import ScorerDied, ScoringProcess
from worker.versions.swap import InForce

REPLACED = "scoring process replaced before its task"


def killed_idle(pool):
    """Kills the pool's one process, which must have nothing to do; gives its id."""
    [idle] = pool.pids
    os.kill(idle, signal.SIGKILL)
    wait_for(lambda: not alive(idle))
    return idle


class Starts:
    """Every start of a scoring process. The next `failing` of them end with status 255, as where exec fails."""

    NO_DESCRIPTOR = 1 << 24

    def __init__(self):
        self.count = self.failing = 0
        self._spawn = multiprocessing.util.spawnv_passfds

    def __call__(self, path, arguments, descriptors):
        if "--multiprocessing-fork" in arguments:  # not its tracker of resources
            self.count += 1
            if self.failing:
                self.failing -= 1
                descriptors = [*descriptors, self.NO_DESCRIPTOR]  # it cannot be passed on
        return self._spawn(path, arguments, descriptors)


@pytest.fixture
def starts(monkeypatch):
    made = Starts()
    monkeypatch.setattr(multiprocessing.util, "spawnv_passfds", made)
    return made


class TestAProcessThatEndsBeforeItsTask:
    @pytest.fixture
    def own(self, bucket, starts):
        """A pool of one process whose starts are counted."""
        pool = Pool(1, bucket.url, log_level="error")
        yield pool
        pool.kill()

    @pytest.mark.parametrize("failing", [1, 2])
    def test_costs_the_task_nothing_the_next_one_does_it(self, own, starts, monkeypatch, failing):
        # given a process that was ended for its task's sake, and others in its place that end before they have begun
        starts.failing = failing
        with pytest.raises(ScorerDied, match=r"took longer than 0\.2 s and was ended"):
            own.run(Hostile("sleeps for ever"), 0.2)
        made, timeouts = [], []
        run = ScoringProcess.run

        def noting(process, task, timeout):
            timeouts.append(timeout)
            return run(process, task, timeout)

        monkeypatch.setattr(ScoringProcess, "run", noting)

        def make():
            made.append(Call(os.getpid))
            return made[-1]

        # when the next task comes
        with capture_logs() as logs:
            did = own.run_next(make, PATIENCE)

        # then it is made again for each of them, with all its time, until one does it, and the log says so
        assert did == own.pids[0]
        assert len(made) == 1 + failing
        assert timeouts == [PATIENCE] * (1 + failing)
        assert starts.count == 2 + failing
        assert [(log["event"], log["tries_left"]) for log in logs] == [(REPLACED, 2), (REPLACED, 1)][:failing]
        assert {log["error"] for log in logs} == {
            "its scoring process ended with exit status 255 before the file was begun"
        }

    def test_three_times_is_told_to_who_asked_and_the_pool_goes_on(self, own, starts):
        starts.failing = TRIES - 1
        killed_idle(own)

        with pytest.raises(ScorerDied, match="exit status 255 before the file was begun"), capture_logs() as logs:
            own.run(Call(os.getpid), PATIENCE)

        assert [log["event"] for log in logs] == [REPLACED] * (TRIES - 1)
        assert own.run(Call(os.getpid), PATIENCE) == own.pids[0]
        assert starts.count == 1 + TRIES

    @pytest.mark.parametrize("task", [Hostile("kills its process"), HostileOnArrival("kills its process")])
    def test_is_no_task_that_ends_it_itself_when_it_is_read_or_run(self, own, starts, task):
        with (
            pytest.raises(ScorerDied, match=r"was killed by SIGKILL \(out of memory\?\)$"),
            capture_logs() as logs,
        ):
            own.run(task, PATIENCE)

        # One process was spent, and one has taken its place
        assert own.run(Call(os.getpid), PATIENCE) == own.pids[0]
        assert starts.count == 2
        assert logs == []

    def test_killed_with_nothing_to_do_it_costs_the_next_task_nothing(self, own, tmp_path):
        version = fetched(tmp_path, "serves", spec=with_example(SPEC))
        load(own, version)
        own.serve(version)
        idle = killed_idle(own)

        with capture_logs() as logs:
            # and the next process has loaded what serves before it gets the task
            assert loaded(own) == ["serves"]

        assert own.pids != [idle]
        assert [(log["event"], log["error"]) for log in logs] == [
            (REPLACED, "its scoring process was killed by SIGKILL (out of memory?) before the file was begun")
        ]

    def test_killed_with_the_task_unread_in_its_pipe_it_costs_it_nothing(self, own):
        # given a process that stands still, and a task on its way to it
        stopped = own.run(Call(os.getpid), PATIENCE)
        os.kill(stopped, signal.SIGSTOP)
        wait_for(lambda: Path(f"/proc/{stopped}/stat").read_text().rpartition(")")[2].split()[0] == "T")
        did = []
        asking = threading.Thread(target=lambda: did.append(own.run(Call(os.getpid), PATIENCE)))
        asking.start()
        pipe = own._all[0]._tasks.fileno()
        wait_for(lambda: struct.unpack("i", fcntl.ioctl(pipe, termios.TIOCOUTQ, bytes(4)))[0], "a task in the pipe")

        # when it is killed
        os.kill(stopped, signal.SIGKILL)
        asking.join(PATIENCE)

        # then another does the task
        assert did == own.pids != [stopped]

    def test_reaped_by_somebody_else_it_is_replaced_all_the_same(self, own):
        [idle] = own.pids
        os.kill(idle, signal.SIGKILL)
        os.waitpid(idle, 0)

        assert own.run(Call(os.getpid), PATIENCE) == own.pids[0] != idle

    def test_one_that_cannot_even_be_started_is_the_same(self, own, monkeypatch):
        killed_idle(own)
        spawn, refused = multiprocessing.util.spawnv_passfds, []

        def refuse_once(*arguments):
            if not refused:
                refused.append(True)
                raise BlockingIOError(11, "Resource temporarily unavailable")
            return spawn(*arguments)

        monkeypatch.setattr(multiprocessing.util, "spawnv_passfds", refuse_once)
        with capture_logs() as logs:
            assert own.run(Call(os.getpid), PATIENCE) == own.pids[0]

        assert [log["event"] for log in logs] == [REPLACED] * 2
        assert "could not be started ([Errno 11] Resource temporarily unavailable)" in logs[1]["error"]


class TestAFileWhoseProcessEndsBeforeIt:
    """End to end, with a worker's real parts."""

    @pytest.fixture
    def clock(self):
        return Clock()

    @pytest.fixture
    def worker(self, tmp_path, starts, clock):
        bucket = FolderBucket(str(tmp_path / "bucket"))
        version = fetched(tmp_path, spec=with_example(SPEC))
        pool = Pool(1, bucket.url, log_level="error")
        load(pool, version)
        pool.serve(version)
        made = Worker(bucket, MemoryQueue(Policy(lease=1_000.0), clock=clock), pool, pool, InForce(version))
        yield made
        made.leases.give_all_back()
        pool.kill()

    def test_is_scored_at_its_first_attempt(self, worker, starts):
        # given a worker whose scoring process was killed while it had nothing to do, and whose next one cannot exec
        starts.failing = 1
        killed_idle(worker.scorers)
        event = dropped(worker.bucket, "a.csv", survey(5))
        worker.queue.publish([event.to_message()])

        # when a file comes
        with capture_logs() as logs:
            worker.handle()

        # then it is scored at its first attempt, and nothing of it has failed
        receipt = receipt_of(worker.bucket, Key("a.csv", event.generation))
        assert (receipt.status, receipt.attempt) == (Status.SCORED, 1)
        assert read_failure(worker.bucket, Key("a.csv", event.generation)) is None
        assert len(worker.queue) == 0
        assert [log["event"] for log in logs] == ["file taken", REPLACED, "receipt written"]
        assert starts.count == 3

    def test_comes_again_where_that_goes_on(self, worker, starts, clock):
        # given a worker whose scoring process was killed, and a machine that can start no other
        starts.failing = 1_000
        killed_idle(worker.scorers)
        event = dropped(worker.bucket, "a.csv", survey(5))
        worker.queue.publish([event.to_message()])

        # when a file comes
        worker.handle()

        # then that is noted, and once the machine is well the file is scored at its second attempt
        note = read_failure(worker.bucket, Key("a.csv", event.generation))
        assert note.attempt == 1
        assert note.error == "its scoring process ended with exit status 255 before the file was begun"
        starts.failing = 0
        clock.advance(1_000)
        worker.handle()
        assert receipt_of(worker.bucket, Key("a.csv", event.generation)).attempt == 2
