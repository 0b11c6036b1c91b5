"""A bucket that holds very much, and the reconciler's passes over it: what tests and measurements share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from publisher.publish import Pass, Reconciler
from tests.cloud.paged_storage import PagedStorage
from tests.memory import MemoryQueue
from transport.buckets.gcs.bucket import GcsBucket

MOST = 1.2  # times the calls of a bare listing


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
