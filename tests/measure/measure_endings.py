"""How long a worker takes to end once it is told to: under load, and while somebody does not answer."""

from __future__ import annotations

import time
from contextlib import closing

import pytest

from deploy.waiting import wait_for
from tests.chaos.silent import Silent
from tests.chaos.understudy import Program, Running, surveys
from tests.measure.figures import Figures
from worker.processes.ending import GIVE_BACK_SECONDS


def seconds_to_end(worker: Program) -> float:
    asked = time.monotonic()
    assert worker.end() == 0
    return time.monotonic() - asked


@pytest.mark.parametrize("drain", [20.0, 0.0])
def test_ended_under_load(running: Running, figures: Figures, drain: float) -> None:
    files = surveys(40, 2000)
    for name, content in files.items():
        running.drop(name, content)
    worker = running.worker("--drain-seconds", str(drain))
    running.ready(worker)
    running.queue.publish([running.event(name).to_message() for name in files])
    wait_for(lambda: running.count_receipts() >= 5, "5 receipts", every=0.001)

    seconds = seconds_to_end(worker)

    assert running.count_receipts() < len(files), "it was to be ended while there was work"
    figures.note(f"drain time of {drain:.0f} s", seconds, "s", at_most=drain + GIVE_BACK_SECONDS)


def test_ended_while_nobody_answers(running: Running, figures: Figures) -> None:
    with closing(Silent()) as silent:
        worker = running.worker("--mlflow-tracking-uri", f"http://{silent.address}")
        wait_for(silent.called.is_set, "a call to the registry")

        figures.note("asked while the registry is silent", seconds_to_end(worker), "s", at_most=3.0)
    assert worker.records("stopped while starting")
