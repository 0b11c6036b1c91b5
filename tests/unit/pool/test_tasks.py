"""Scoring processes: one that raises, ends, is killed or hangs costs its task."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from deploy.waiting import wait_for
from tests.unit.pool.loaded import PATIENCE
from tests.worker_fixtures import Call, Hostile, alive, dropped, fetched, import_error, imported, survey
from worker.processes.process import ScorerDied, TaskFailed
from worker.processes.scoring_process import FORBIDDEN
from worker.scoring.score import Attempt, Score


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
