"""Scoring processes: one that raises, ends, is killed or hangs costs its task, and none outlives its parent."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from deploy.waiting import wait_for
from ledger.names import Key
from ledger.notes import read_failure
from ledger.receipt import Status
from models.spec import UnfitModel
from tests.chaos.understudy import scoring_processes
from tests.memory import Clock, MemoryQueue
from tests.worker_fixtures import (
    SPEC,
    Call,
    Hostile,
    HostileOnArrival,
    Loaded,
    Touch,
    Until,
    Worker,
    alive,
    dropped,
    fetched,
    import_error,
    imported,
    receipt_of,
    slow_to_load,
    survey,
    with_example,
)
from transport.folder import FolderBucket
from transport.queue import Policy
from worker.pool import TRIES, Pool
from worker.process import Abandoned, ScorerDied, ScoringProcess, TaskFailed
from worker.score import Attempt, Score
from worker.scoring_process import FORBIDDEN
from worker.swap import InForce
from worker.trial import Trial, TriedPool

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0


@pytest.fixture(scope="module")
def bucket(tmp_path_factory):
    return FolderBucket(str(tmp_path_factory.mktemp("bucket")))


@pytest.fixture(scope="module")
def pool(bucket):
    """One process, shared by tests that each leave it able to work."""
    pool = Pool(1, bucket.url, log_level="error")
    yield pool
    pool.kill()
    assert not any(alive(pid) for pid in pool.pids)


def test_a_task_gives_what_it_returns(pool):
    assert pool.run(Call(sum, ((1, 2, 3),)), PATIENCE) == 6
    assert pool.run(Call(os.getpid), PATIENCE) == pool.pids[0] != os.getpid()


@pytest.mark.parametrize(
    ("deed", "what"),
    [
        ("kills its process", r"was killed by SIGKILL \(out of memory\?\)"),
        ("ends its process", "ended with exit status 3"),
        ("leaves", "ended with exit status 1"),
    ],
)
def test_a_task_that_ends_its_process_costs_that_process_alone(pool, deed, what):
    before = pool.run(Call(os.getpid), PATIENCE)

    with pytest.raises(ScorerDied, match=what):
        pool.run(Hostile(deed), PATIENCE)

    assert pool.run(Call(os.getpid), PATIENCE) == pool.pids[0] != before
    wait_for(lambda: not alive(before))


def test_a_task_that_raises_is_told_by_kind_and_text_and_the_process_goes_on(pool):
    before = pool.run(Call(os.getpid), PATIENCE)

    with pytest.raises(TaskFailed, match="it was not meant to be") as caught:
        pool.run(Hostile("raises"), PATIENCE)

    assert caught.value.kind == "ValueError"
    assert pool.run(Call(os.getpid), PATIENCE) == before


def test_a_task_that_eats_all_memory_is_told(pool):
    with pytest.raises(TaskFailed) as caught:
        pool.run(Hostile("eats memory"), PATIENCE)

    assert caught.value.kind == "MemoryError"
    with pytest.raises(ScorerDied):  # the test's own limit must not stay in a process that others use
        pool.run(Hostile("kills its process"), PATIENCE)


def test_a_task_that_hangs_is_ended_after_its_time(pool):
    hanging = pool.run(Call(os.getpid), PATIENCE)

    with pytest.raises(ScorerDied, match=r"took longer than 0\.2 s and was ended"):
        pool.run(Hostile("sleeps for ever"), 0.2)

    assert not alive(hanging)
    assert pool.run(Call(sum, ((1,),)), PATIENCE) == 1


def test_signals_for_the_whole_group_are_for_the_parent_to_answer(pool):
    pid = pool.run(Call(os.getpid), PATIENCE)

    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(pid, number)

    assert pool.run(Call(os.getpid), PATIENCE) == pid


def test_what_cannot_be_sent_costs_nothing(pool):
    with pytest.raises((TypeError, AttributeError)):
        pool.run(Call(threading.Lock().acquire), PATIENCE)

    assert pool.run(Call(sum, ((1,),)), PATIENCE) == 1


def test_a_scoring_process_has_no_library_that_could_run_a_model_s_code(pool, bucket, tmp_path):
    # Given a process that has scored a file (this environment has all of those libraries)
    event = dropped(bucket, "modules.csv", survey(3))
    claim = pool.run(Score(Attempt(event, 1, "here"), fetched(tmp_path)), PATIENCE)
    assert claim is not None

    # Then none of them is there, and none can be brought in
    modules = {name.partition(".")[0] for name in pool.run(Call(imported), PATIENCE)}
    assert {"onnxruntime", "pyarrow"} <= modules
    assert modules.isdisjoint(FORBIDDEN)
    for name in ("tensorflow", "sklearn", "pandas", "mlflow", "mlflow.pyfunc", "cloudpickle"):
        assert "may not be imported" in pool.run(Call(import_error, (name,)), PATIENCE)


def load(pool, version):
    pool.load(version, threading.Event())


def loaded(pool):
    """The versions that the pool's one process has loaded, in the order in which they were asked for."""
    return pool.run(Loaded(), PATIENCE)


class TestLoading:
    def test_a_version_that_scores_its_example_is_fit(self, pool, tmp_path):
        load(pool, fetched(tmp_path, "fit", spec=with_example(SPEC)))

        assert loaded(pool) == ["fit"]

    def test_changed_bytes_are_refused(self, pool, tmp_path):
        version = fetched(tmp_path, "changed")
        version.graph.write_bytes(version.graph.read_bytes() + b"\0")

        with pytest.raises(UnfitModel, match="have changed"):
            load(pool, version)

    def test_a_missing_file_is_refused(self, pool, tmp_path):
        version = fetched(tmp_path, "missing")
        version.graph.unlink()

        with pytest.raises(UnfitModel, match="cannot be read"):
            load(pool, version)

    def test_a_version_without_an_example_is_refused_and_not_kept(self, pool, tmp_path):
        with pytest.raises(UnfitModel, match="has no input example"):
            load(pool, fetched(tmp_path, "plain"))

        assert "plain" not in loaded(pool)

    def test_it_is_loaded_while_the_process_is_busy(self, pool, tmp_path):
        # Given a process that works on something
        done = tmp_path / "done"
        busy = threading.Thread(target=pool.run, args=(Until(done), PATIENCE))
        busy.start()

        # Then it loads a version meanwhile
        load(pool, fetched(tmp_path, "beside", spec=with_example(SPEC)))
        assert busy.is_alive()

        done.touch()
        busy.join(PATIENCE)
        assert loaded(pool) == ["beside"]

    def test_at_most_two_are_in_memory_and_the_old_one_goes_with_the_first_file_of_the_new(self, bucket, tmp_path):
        versions = [
            fetched(tmp_path, name, bias=bias, spec=with_example(SPEC, bias)) for bias, name in enumerate("abc")
        ]
        pool = Pool(1, bucket.url, log_level="error")
        try:
            for version in versions[:2]:
                load(pool, version)
                assert loaded(pool)[-1:] == [version.spec.version]
                pool.run(Touch(version), PATIENCE)
                pool.serve(version)
                assert loaded(pool) == [version.spec.version]

            # The version that serves is kept beside whichever is loaded next, though that is none that will serve
            load(pool, versions[0])
            load(pool, versions[2])
            assert loaded(pool) == ["b", "c"]
            load(pool, versions[0])
            assert loaded(pool) == ["b", "a"]
        finally:
            pool.kill()

    def test_a_process_that_died_idle_is_replaced_and_loads_what_served_and_what_comes(self, bucket, tmp_path):
        pool = Pool(1, bucket.url, log_level="error")
        try:
            old, new = (fetched(tmp_path, name, spec=with_example(SPEC)) for name in ("old", "new"))
            load(pool, old)
            pool.serve(old)
            [idle] = pool.pids
            os.kill(idle, signal.SIGKILL)
            wait_for(lambda: not alive(idle))

            load(pool, new)

            assert loaded(pool) == ["old", "new"]
        finally:
            pool.kill()

    def test_a_process_in_place_of_a_dead_one_has_loaded_what_serves_before_its_first_task(self, bucket, tmp_path):
        pool = Pool(1, bucket.url, log_level="error")
        try:
            version = fetched(tmp_path, "serves", spec=with_example(SPEC))
            load(pool, version)
            pool.serve(version)

            with pytest.raises(ScorerDied):
                pool.run(Hostile("kills its process"), PATIENCE)

            assert loaded(pool) == ["serves"]
        finally:
            pool.kill()

    def test_an_abandoned_version_is_waited_for_no_longer(self, pool, tmp_path):
        version = fetched(tmp_path, "abandoned", spec=with_example(SPEC))
        abandoned = threading.Event()
        abandoned.set()

        with pytest.raises(Abandoned):
            pool.load(version, abandoned)

        # and the next one's answer is its own
        load(pool, fetched(tmp_path, "next", spec=with_example(SPEC)))
        with pytest.raises(UnfitModel, match="has no input example"):
            load(pool, fetched(tmp_path, "plain"))

    def test_one_that_takes_too_long_is_unfit_and_costs_the_file_in_hand_nothing(self, bucket, tmp_path):
        # Given a process that has a file in hand, and a version that needs seconds to load
        pool = Pool(1, bucket.url, log_level="error", load_seconds=0.3)
        try:
            pool.run(Call(sum, ((1,),)), PATIENCE)
            done, results = tmp_path / "done", []
            busy = threading.Thread(target=lambda: results.append(pool.run(Until(done), PATIENCE)))
            busy.start()
            wait_for(lambda: pool._idle.empty())
            refused = []

            def refuse():
                with pytest.raises(UnfitModel, match=r"took longer than 0\.3 s to load"):
                    load(pool, slow_to_load(tmp_path, "slow", seconds=5))
                refused.append(True)

            loading = threading.Thread(target=refuse, daemon=True)
            loading.start()
            loading.join(1.0)
            assert not refused, "the process was ended under its file"
            done.touch()
            busy.join(PATIENCE)
            loading.join(PATIENCE)
            assert (results, refused) == ([None], [True])
            assert pool.run(Call(sum, ((1,),)), PATIENCE) == 1
        finally:
            pool.kill()


class TestTrials:
    def test_what_crashes_its_process_three_times_is_refused_and_comes_near_no_other(self, bucket, pool, tmp_path):
        # Given a pool that serves a version, and a trial whose processes are killed
        pool.serve(None)
        good = fetched(tmp_path, "good", spec=with_example(SPEC))
        load(pool, good)
        pool.serve(good)
        before = pool.pids
        killed = []
        stop = threading.Event()

        def kill_the_others():
            while not stop.wait(0.02):
                for pid in scoring_processes(os.getpid()):
                    if pid not in [*before, *killed]:
                        killed.append(pid)
                        os.kill(pid, signal.SIGKILL)

        killer = threading.Thread(target=kill_the_others, daemon=True)
        killer.start()
        try:
            tried = TriedPool(pool, Trial(bucket.url, "error"))
            bad = fetched(tmp_path, "bad", spec=with_example(SPEC))
            with pytest.raises(UnfitModel, match=r"was killed by SIGKILL \(out of memory\?\) while it was loaded"):
                tried.prepare(bad, threading.Event())
        finally:
            stop.set()
            killer.join(PATIENCE)
        assert len(killed) >= 3
        assert pool.pids == before
        assert loaded(pool) == ["good"]

    def test_an_abandoned_trial_ends_with_its_process(self, bucket, tmp_path):
        abandoned = threading.Event()
        children = set(multiprocessing.active_children())

        def abandon():
            wait_for(lambda: set(multiprocessing.active_children()) - children)
            abandoned.set()

        abandoning = threading.Thread(target=abandon, daemon=True)
        abandoning.start()
        with pytest.raises(Abandoned):
            Trial(bucket.url, "error").hold(slow_to_load(tmp_path, "slow", seconds=60), abandoned)
        abandoning.join(PATIENCE)
        assert set(multiprocessing.active_children()) <= children

    def test_what_has_passed_is_not_tried_again(self, bucket, tmp_path):
        trial = Trial("no://bucket", "error")
        version = fetched(tmp_path, "passed")
        trial.passed(version)

        trial.hold(version, threading.Event())


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
        made.in_hand.give_all_back()
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


def test_several_threads_share_the_processes_and_a_kill_ends_all(bucket, tmp_path):
    # Given two processes that hang
    pool = Pool(2, bucket.url)
    pool.serve(fetched(tmp_path, "1"))
    pids = list(pool.pids)
    ended = []

    def hang():
        with pytest.raises(ScorerDied):
            pool.run(Hostile("sleeps for ever"), PATIENCE)
        ended.append(True)

    threads = [threading.Thread(target=hang, daemon=True) for _ in pids]
    for thread in threads:
        thread.start()
    wait_for(lambda: pool._idle.empty())

    # When all are ended
    with capture_logs() as logs:
        pool.kill()

        # Then every task is told so, no process is started in their place, and nobody is told that one is missing
        for thread in threads:
            thread.join(PATIENCE)
        wait_for(lambda: pool._idle.qsize() == 2)
    assert logs == []
    assert ended == [True, True]
    assert pool.pids == pids
    assert not any(alive(pid) for pid in pids)


PARENT = """
import sys
from tests.worker_fixtures import Hostile
from worker.pool import Pool
if __name__ == "__main__":
    from threading import Thread
    pool = Pool(2, sys.argv[1])
    print(*pool.pids, flush=True)
    Thread(target=pool.run, args=(Hostile("sleeps for ever"), 600), daemon=True).start()
    sys.stdin.read()
"""


def test_a_kill_ends_a_process_too_that_is_just_being_started_in_place_of_a_dead_one(bucket, monkeypatch):
    # given a process that died, and a thread that is starting another
    process = ScoringProcess(bucket.url, "error", 0)
    dead = process.pid
    os.kill(dead, signal.SIGKILL)
    assert wait_for(lambda: not alive(dead))
    spawned, go_on, pids = threading.Event(), threading.Event(), []
    spawn = multiprocessing.util.spawnv_passfds

    def spawn_and_wait(*arguments):
        pids.append(spawn(*arguments))
        spawned.set()
        assert go_on.wait(PATIENCE)
        return pids[-1]

    monkeypatch.setattr(multiprocessing.util, "spawnv_passfds", spawn_and_wait)
    mending = threading.Thread(target=process.mend)
    mending.start()
    assert spawned.wait(PATIENCE)

    # when it is killed meanwhile
    killing = threading.Thread(target=process.kill)
    killing.start()
    assert wait_for(lambda: process._ended)
    go_on.set()
    killing.join(PATIENCE)

    # then once that is done nothing of it lives, nor will
    assert [alive(pid) for pid in pids] == [False]
    mending.join(PATIENCE)
    process.mend()
    assert process.pid == pids[0]
    assert not alive(process.pid)


@pytest.mark.parametrize("end", ["kill -9", "an end of its own"])
def test_the_processes_die_with_their_parent(end, bucket, tmp_path):
    # Given a program with two scoring processes, of which one works
    (tmp_path / "parent.py").write_text(PARENT)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, str(tmp_path / "parent.py"), bucket.url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as parent:
        children = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(children) == 2
        assert all(alive(pid) for pid in children)

        # When it is gone
        if end == "kill -9":
            parent.kill()
        began = time.monotonic()
        parent.stdin.close()

        # Then so are they
        parent.wait(PATIENCE)
        wait_for(lambda: not any(alive(pid) for pid in children))
        assert time.monotonic() - began < PATIENCE
