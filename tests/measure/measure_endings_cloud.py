"""How long a worker on Google's services takes to end: with files in hand, and where its bucket has fallen silent."""

from __future__ import annotations

import signal
import time

import pytest

from deploy.waiting import wait_for
from tests.chaos.understudy import Program, send, surveys
from tests.cloud import conftest as cloud_fixtures
from tests.cloud.house import House
from tests.measure.figures import Figures
from worker.processes.ending import GIVE_BACK_SECONDS

pytestmark = [pytest.mark.emulator, pytest.mark.timeout(400)]

house = cloud_fixtures.house


def worker_at_work(house: House, drain_seconds: int) -> Program:
    """A worker in the middle of its files."""
    house.provision("--max-delivery-attempts", "100")
    house.upload(surveys(300, 400))
    [worker] = house.workers(1, "--drain-seconds", str(drain_seconds))
    wait_for(lambda: len(worker.records("file taken")) >= 5, "some files taken", every=0.001)
    return worker


def test_a_worker_at_work(house: House, figures: Figures) -> None:
    worker = worker_at_work(house, 20)
    asked = time.monotonic()
    assert worker.end() == 0
    figures.note("ends after", time.monotonic() - asked, "s", at_most=20 + GIVE_BACK_SECONDS)


def test_a_worker_whose_bucket_is_silent(house: House, figures: Figures) -> None:
    worker = worker_at_work(house, 1)
    send(house.storage.pid, signal.SIGSTOP)
    asked = time.monotonic()
    try:
        assert worker.end() == 0
        took = time.monotonic() - asked
    finally:
        send(house.storage.pid, signal.SIGCONT)
    figures.note("ends after", took, "s", at_most=1 + GIVE_BACK_SECONDS + 2)
