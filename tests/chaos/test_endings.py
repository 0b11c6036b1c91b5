"""SIGTERM and Ctrl-C under load: exit 0, nothing lost, nothing done twice."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from ledger.receipt import Status
from tests.chaos.understudy import Running, surveys, undisturbed, wait_for


@pytest.mark.parametrize(
    "drain", [pytest.param("25", id="time to finish"), pytest.param("0", id="no time at all", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_ended_under_load_a_worker_loses_nothing(
    running: Running, model_cache: Path, number: signal.Signals, drain: str
) -> None:
    # given a worker with far more files than it has done
    files = surveys(12, 6000)
    for name, content in files.items():
        running.drop(name, content)
    assert running.start("publisher", "--once", "--settle", "0").process.wait(60) == 0
    worker = running.worker("--drain-seconds", drain)
    wait_for(lambda: running.count_receipts() >= 2, "2 receipts", every=0.001)

    # when it is told to end: by SIGTERM to itself, or by Ctrl-C, which reaches its whole process group
    if number == signal.SIGTERM:
        worker.kill(number)
    else:
        os.killpg(worker.pid, number)

    # then it ends with 0, and holds nothing: what is left can be taken at once
    assert worker.process.wait(60) == 0, worker.log.read_text()
    assert running.queue.backlog().leased == 0
    done = running.receipts()
    assert len(done) + running.backlog() >= len(files)
    assert len(done) < len(files), "it was to be ended while there was work"
    assert "Traceback" not in worker.log.read_text()
    if drain != "0":
        assert not worker.records("attempt failed")

    # and another one does the rest, with nothing left behind
    rest = running.worker("--until-idle", "0")
    assert rest.process.wait(60) == 0
    assert [(r.source.name, r.status) for r in running.receipts()] == [(name, Status.SCORED) for name in files]
    assert all(receipt in running.receipts() for receipt in done)
    assert {name: running.output(name) for name in files} == undisturbed(running.registry, model_cache, "1", files)
    running.next_run()
    assert running.left_behind() == []
