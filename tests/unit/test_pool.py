"""Scoring processes: one that raises, ends, is killed or hangs costs its task, and none outlives its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from models.registry import FetchedVersion
from models.spec import UnfitModel
from tests.worker_fixtures import (
    SPEC,
    Call,
    Hostile,
    alive,
    dropped,
    eventually,
    fetched,
    import_error,
    imported,
    survey,
    with_example,
)
from transport.folder import FolderBucket
from worker.pool import Pool, ScorerDied, ScorerSlow, TaskFailed, prepare
from worker.score import Attempt, Score
from worker.scoring_process import FORBIDDEN

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
    eventually(lambda: not alive(before))


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
    eventually(lambda: not alive(idle))

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


class TestPrepare:
    def test_a_version_that_scores_its_example_is_fit(self, pool, tmp_path):
        prepare(pool, fetched(tmp_path, "fit", spec=with_example(SPEC)), PATIENCE)

    def test_changed_bytes_are_refused(self, pool, tmp_path):
        version = fetched(tmp_path, "changed")
        version.graph.write_bytes(version.graph.read_bytes() + b"\0")

        with pytest.raises(UnfitModel, match="have changed"):
            prepare(pool, version, PATIENCE)

    def test_a_missing_file_is_refused(self, pool, tmp_path):
        version = fetched(tmp_path, "missing")
        version.graph.unlink()

        with pytest.raises(UnfitModel, match="cannot be read"):
            prepare(pool, version, PATIENCE)

    def test_a_version_without_an_example_is_refused(self, pool, tmp_path):
        with pytest.raises(UnfitModel, match="has no input example"):
            prepare(pool, fetched(tmp_path, "plain"), PATIENCE)

    def test_a_process_that_happened_to_die_does_not_make_a_version_unfit(self, pool, tmp_path):
        idle = pool.run(Call(os.getpid), PATIENCE)
        os.kill(idle, signal.SIGKILL)
        eventually(lambda: not alive(idle))

        prepare(pool, fetched(tmp_path, "fit", spec=with_example(SPEC)), PATIENCE)

    @pytest.mark.parametrize(
        ("error", "tries"),
        [(ScorerDied("killed by SIGSEGV"), 3), (ScorerSlow("took longer"), 1), (TaskFailed("UnfitModel", "unfit"), 1)],
    )
    def test_only_one_that_ends_three_processes_or_takes_too_long_is_unfit(self, error, tries):
        tried = []

        class Failing:
            def run(self, task, _timeout):
                tried.append(task)
                raise error

        with pytest.raises(UnfitModel, match=f"tiny version 1: {error}"):
            prepare(Failing(), FetchedVersion(SPEC, Path("nowhere"), ""), PATIENCE)
        assert len(tried) == tries


def test_several_threads_share_the_processes_and_a_kill_ends_all(bucket):
    # Given two processes that hang
    pool = Pool(2, bucket.url)
    pids = list(pool.pids)
    ended = []

    def hang():
        with pytest.raises(ScorerDied):
            pool.run(Hostile("sleeps for ever"), PATIENCE)
        ended.append(True)

    threads = [threading.Thread(target=hang) for _ in pids]
    for thread in threads:
        thread.start()
    eventually(lambda: pool._idle.empty())

    # When all are ended
    pool.kill()

    # Then every task is told so, and no process is started in their place
    for thread in threads:
        thread.join(PATIENCE)
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
        eventually(lambda: not any(alive(pid) for pid in children))
        assert time.monotonic() - began < PATIENCE
