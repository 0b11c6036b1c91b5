"""The reconciler over a bucket of 10^5 objects: its calls are those of a bare listing, and its memory stays flat."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from publisher.publish import Pass, Reconciler
from tests.chaos.understudy import ROOT
from tests.cloud.paged_storage import PagedStorage
from tests.memory import MemoryQueue
from transport.gcs import GcsBucket

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

OBJECTS = 100_000
MOST = 1.2  # times the calls of a bare listing
SLACK = 10_000_000  # bytes that a process may differ in; what lists of 10^5 objects hold is several times that


def answered(files: int) -> list[str]:
    """A bucket of `files` inputs, each with its output and its receipt."""
    inputs = [f"survey {number:06}.csv" for number in range(files)]
    outputs = [f"output/pred_{name}" for name in inputs]
    receipts = [f"output/receipts/{name}@7.json" for name in inputs]
    return sorted([*inputs, *outputs, *receipts], key=str.encode)


def unanswered(files: int) -> list[str]:
    return [f"survey {number:06}.csv" for number in range(files)]


@contextmanager
def bucket_of(names: list[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[PagedStorage, GcsBucket]]:
    with PagedStorage(names) as storage:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", storage.url)
        bucket = GcsBucket("gs://large")
        yield storage, bucket
        bucket.close()


def bare_listing(storage: PagedStorage, bucket: GcsBucket) -> int:
    """How many calls it takes to list everything once."""
    storage.listings.clear()
    assert sum(1 for _ in bucket.objects()) == len(storage.names)
    return len(storage.listings)


def calls_of_a_pass(storage: PagedStorage, reconciler: Reconciler) -> tuple[int, Pass]:
    storage.listings.clear()
    done = reconciler.full_pass()
    assert done.errors == 0
    return len(storage.listings), done


def reconciler_over(bucket: GcsBucket) -> Reconciler:
    queue = MemoryQueue()
    return Reconciler(bucket, queue, queue.dead_letters, settle=0.0)


ONE_PASS = """
from pathlib import Path
from publisher.publish import Reconciler
from tests.memory import MemoryQueue
from transport.gcs import GcsBucket
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


def test_a_pass_takes_the_calls_of_a_bare_listing(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given: 10^5 inputs that have no receipt yet
    with bucket_of(unanswered(OBJECTS), monkeypatch) as (storage, bucket):
        bare = bare_listing(storage, bucket)
        first, done = calls_of_a_pass(storage, reconciler_over(bucket))
        assert done.published == OBJECTS
    # And: 10^5 objects of which a third are inputs with their receipts
    with bucket_of(answered(OBJECTS // 3), monkeypatch) as (storage, bucket):
        bare_answered = bare_listing(storage, bucket)
        later, done = calls_of_a_pass(storage, reconciler_over(bucket))
        assert (done.inputs, done.answered, done.published) == (OBJECTS // 3, OBJECTS // 3, 0)

    print(f"\n{OBJECTS} inputs without receipts: {first} calls, a bare listing {bare}")
    print(f"{OBJECTS // 3} inputs with outputs and receipts: {later} calls, a bare listing {bare_answered}")
    assert bare == OBJECTS // 1000
    assert first <= MOST * bare
    assert later <= MOST * bare_answered


def test_the_memory_of_a_pass_does_not_grow_with_the_bucket() -> None:
    small, large = peak_of_a_pass(OBJECTS // 10), peak_of_a_pass(OBJECTS)

    print(f"\npeak memory: {small / 1e6:.0f} MB over {OBJECTS // 10} files, {large / 1e6:.0f} MB over {OBJECTS}")
    assert large < small + SLACK
