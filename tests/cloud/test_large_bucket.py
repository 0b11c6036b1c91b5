"""The reconciler over a large bucket: its calls are those of a bare listing, and it holds no more of a larger one."""

from __future__ import annotations

import tracemalloc

import pytest

from publisher.status import overview
from tests.cloud.large_bucket import (
    answered,
    bare_listing,
    bucket_of,
    calls_of_a_pass,
    reconciler_over,
    unanswered,
)
from tests.memory import MemoryQueue

pytestmark = pytest.mark.slow

OBJECTS = 6_000
ENDS = 5  # calls beyond those of a bare listing: last pages are not full, and labels/ and output/ are passed by unread
SLACK = 700_000  # bytes that two passes may differ in; to keep what OBJECTS more have takes several times that


def test_a_pass_takes_the_calls_of_a_bare_listing(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given: inputs that have no receipt yet
    with bucket_of(unanswered(OBJECTS), monkeypatch) as (storage, bucket):
        bare = bare_listing(storage, bucket)
        first, done = calls_of_a_pass(storage, reconciler_over(bucket))
        assert done.published == OBJECTS
    # And: objects of which a third are inputs with their receipts
    with bucket_of(answered(OBJECTS // 3), monkeypatch) as (storage, bucket):
        bare_answered = bare_listing(storage, bucket)
        later, done = calls_of_a_pass(storage, reconciler_over(bucket))
        assert (done.inputs, done.answered, done.published) == (OBJECTS // 3, OBJECTS // 3, 0)

    print(f"\n{OBJECTS} inputs without receipts: {first} calls, a bare listing {bare}")
    print(f"{OBJECTS // 3} inputs with outputs and receipts: {later} calls, a bare listing {bare_answered}")
    assert bare == OBJECTS // 1000
    assert first <= bare + ENDS
    assert later <= bare_answered + ENDS


def test_only_folders_that_may_hold_misplaced_inputs_are_read_and_only_now_and_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Given: some inputs, and many objects among the outputs, the labels, and in a folder of somebody's own
    many = range(OBJECTS // 2)
    inputs = unanswered(10)
    elsewhere = [f"{folder}/{n:06}.csv" for folder in ("archive", "labels", "output/shadow") for n in many]
    with bucket_of(sorted([*inputs, *elsewhere], key=str.encode), monkeypatch) as (storage, bucket):
        reconciler = reconciler_over(bucket)
        first, done = calls_of_a_pass(storage, reconciler)
        later, again = calls_of_a_pass(storage, reconciler)
        storage.listings.clear()
        status = overview(bucket, MemoryQueue(), newest=0, read=0)
        looked = len(storage.listings)

    print(f"\n{len(many)} objects each in a folder, output/ and labels/: {first} calls, then {later}; status {looked}")
    assert (done.inputs, done.not_inputs) == (10, len(many))
    assert first <= len(many) / 1000 + ENDS + 1
    assert (again.inputs, again.not_inputs) == (10, 0)
    assert later <= ENDS
    assert (status.inputs, status.not_inputs) == (10, len(many))
    assert looked <= len(many) / 1000 + ENDS + 2


def peak_of_a_pass(files: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """Bytes that are held at most beyond those before, by the pass and the few pages that the storage has in work."""
    with bucket_of(answered(files), monkeypatch) as (storage, bucket):
        reconciler = reconciler_over(bucket)
        calls_of_a_pass(storage, reconciler)  # whatever is loaded and opened once
        tracemalloc.start()
        try:
            _, done = calls_of_a_pass(storage, reconciler)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert done.answered == files
    return peak


def test_a_pass_holds_no_more_of_a_larger_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    small, large = peak_of_a_pass(OBJECTS // 6, monkeypatch), peak_of_a_pass(OBJECTS, monkeypatch)

    print(f"\nheld at most: {small / 1e6:.1f} MB over {OBJECTS // 6} files, {large / 1e6:.1f} MB over {OBJECTS}")
    assert large < small + SLACK
