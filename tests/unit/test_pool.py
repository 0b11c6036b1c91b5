"""Scoring processes: one that raises, ends, is killed or hangs costs its task, and none outlives its parent."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from deploy.waiting import wait_for
from models.spec import UnfitModel
from tests.chaos.understudy import scoring_processes
from tests.worker_fixtures import (
    SPEC,
    Call,
    Hostile,
    Loaded,
    Touch,
    Until,
    alive,
    dropped,
    fetched,
    import_error,
    imported,
    slow_to_load,
    survey,
    with_example,
)
from transport.folder import FolderBucket
from worker.pool import Pool
from worker.process import Abandoned, ScorerDied, ScoringProcess, TaskFailed
from worker.score import Attempt, Score
from worker.scoring_process import FORBIDDEN
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


def test_a_process_that_was_killed_between_two_tasks_costs_one_of_them(pool):
    idle = pool.run(Call(os.getpid), PATIENCE)
    os.kill(idle, signal.SIGKILL)
    wait_for(lambda: not alive(idle))

    with pytest.raises(ScorerDied):
        pool.run(Call(os.getpid), PATIENCE)

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
