"""The reconciler over a bucket of 10^5 objects: calls beside those of a bare listing, and the memory of its process."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from tests.chaos.understudy import ROOT
from tests.cloud.large_bucket import (
    MOST,
    answered,
    bare_listing,
    bucket_of,
    calls_of_a_pass,
    reconciler_over,
    unanswered,
)
from tests.cloud.paged_storage import PagedStorage
from tests.measure.figures import Figures

pytestmark = pytest.mark.timeout(300)

OBJECTS = 100_000
SLACK = 10_000_000  # bytes that a process may differ in; what lists of 10^5 objects hold is several times that


ONE_PASS = """
from pathlib import Path
from publisher.publish import Reconciler
from tests.memory import MemoryQueue
from transport.buckets.gcs.bucket import GcsBucket
queue = MemoryQueue()
done = Reconciler(GcsBucket("gs://large"), queue, queue.dead_letters, settle=0.0).full_pass()
peak = Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]
print(done.answered, done.errors, int(peak) * 1024)
"""


def peak_of_a_pass(files: int) -> int:
    """Bytes that a process takes at most in which one pass is made over so many answered files.

    As Linux's VmHWM has it: `ru_maxrss` begins with what the process that starts it takes, which may be far more.
    """
    with PagedStorage(answered(files)) as storage:
        environment = {**os.environ, "STORAGE_EMULATOR_HOST": storage.url, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-c", ONE_PASS], env=environment, capture_output=True, text=True, check=True
        )
    answered_files, errors, peak = map(int, done.stdout.split()[-3:])
    assert (answered_files, errors) == (files, 0)
    return peak


def test_calls_over_a_large_bucket(monkeypatch: pytest.MonkeyPatch, figures: Figures) -> None:
    for what, names in (("no receipts", unanswered(OBJECTS)), ("all receipts", answered(OBJECTS // 3))):
        with bucket_of(names, monkeypatch) as (storage, bucket):
            bare = bare_listing(storage, bucket)
            started = time.monotonic()
            calls, _ = calls_of_a_pass(storage, reconciler_over(bucket))
            figures.note(f"{what}: calls beside those of a bare listing", calls / bare, "times", at_most=MOST)
            figures.note(f"{what}: a pass over {OBJECTS} objects", time.monotonic() - started, "s")


def test_memory_over_a_large_bucket(figures: Figures) -> None:
    small, large = peak_of_a_pass(OBJECTS // 10), peak_of_a_pass(OBJECTS)
    figures.note(f"peak memory over {OBJECTS // 10} files", small / 1e6, "MB")
    figures.note(f"peak memory over {OBJECTS} files, more than that", (large - small) / 1e6, "MB", at_most=SLACK / 1e6)
