"""A flood of files and a gzip bomb: how fast, and in how much memory. FLOOD_FILES=50000: by hand, at full length."""

from __future__ import annotations

import os
import time

import pytest

from ledger.receipt import Status
from tests.chaos.extremes import bomb, drop_flood
from tests.chaos.processes import MB, peak
from tests.chaos.understudy import Running, surveys
from tests.measure.figures import Figures

FLOOD_FILES = int(os.environ.get("FLOOD_FILES", "1000"))


@pytest.mark.timeout(3600)
def test_a_flood_of_small_files(running: Running, figures: Figures) -> None:
    drop_flood(running, FLOOD_FILES)
    began = time.monotonic()
    publisher = running.publisher("--interval", "10s")
    worker = running.worker("--shadow-fraction", "0", "--processes", "2", "--log-level", "warning")
    running.wait_until_done(FLOOD_FILES, 3500)
    seconds = time.monotonic() - began

    figures.note(f"{FLOOD_FILES:,} files, rate with both programs' start", FLOOD_FILES / seconds, "files a second")
    figures.note(f"{FLOOD_FILES:,} files, memory of the publisher", peak(publisher.pid) / MB, "MB", at_most=200)
    figures.note(f"{FLOOD_FILES:,} files, memory of the worker's parent", peak(worker.pid) / MB, "MB", at_most=450)
    assert [program.end() for program in (worker, publisher)] == [0, 0]


@pytest.mark.timeout(600)
def test_a_gzip_bomb(running: Running, figures: Figures) -> None:
    # a worker that has scored a small file, and ten gigabytes in ten megabytes
    publisher, worker = running.publisher(), running.worker("--shadow-fraction", "0")
    running.ready(worker)
    small = surveys(1, 20_000)["part 000.csv"]
    running.drop("small.csv", small)
    running.wait_until_done(1)
    before = sum(peak(pid) for pid in worker.family())
    packed, size = bomb(160)
    assert size > 10_000_000_000
    assert len(packed) < 14 * MB

    began = time.monotonic()
    running.drop("bomb.csv.gz", packed)
    running.wait_until_done(2)
    seconds = time.monotonic() - began
    after = sum(peak(pid) for pid in worker.family())

    [receipt] = running.receipts("bomb.csv.gz")
    assert receipt.status is Status.REJECTED
    figures.note("ten gigabytes in ten megabytes, from its drop to its receipt", seconds, "s", at_most=30)
    figures.note("ten gigabytes in ten megabytes, memory against a small file", after / before, at_most=1.4)
    assert [program.end() for program in (worker, publisher)] == [0, 0]
