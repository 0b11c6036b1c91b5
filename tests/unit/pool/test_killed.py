"""No scoring process outlives its pool, or its parent."""

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
from tests.unit.pool.loaded import PATIENCE
from tests.worker_fixtures import Hostile, alive, fetched
from worker.processes.pool import Pool
from worker.processes.process import ScorerDied, ScoringProcess

ROOT = Path(__file__).parents[3]


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
from worker.processes.pool import Pool
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
