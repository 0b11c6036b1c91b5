"""A version that must not serve is on record in the bucket, for `status`, until what its alias names serves."""

from __future__ import annotations

import io

from rich.console import Console

from ledger.records import RefusedVersion, refused_versions
from publisher.commands.show import status_screen
from publisher.status import overview
from tests.memory import MemoryBucket, MemoryQueue
from transport.bucket import BucketError, put
from worker.versions.refusals import Refusals
from worker.versions.seat import Refusal

BROKEN = Refusal("7", "its graph is broken")


def recorded(bucket: MemoryBucket) -> list[tuple[str, str, str, str]]:
    return [(one.alias, one.version, one.reason, one.worker) for one in refused_versions(bucket)]


def test_a_refusal_is_recorded_once_and_gone_when_the_alias_serves() -> None:
    bucket = MemoryBucket()
    writes: list[tuple[str, str]] = []
    bucket.hook = lambda operation, name: writes.append((operation, name))
    refusals = Refusals(bucket, "airline", "vm-1")

    refusals.record({"production": BROKEN, "staging": None})
    writes.clear()
    refusals.record({"production": BROKEN, "staging": None})
    assert writes == []
    assert recorded(bucket) == [("production", "7", "its graph is broken", "vm-1")]

    refusals.record({"staging": None})  # production's is on its way: nothing is known
    assert recorded(bucket) == [("production", "7", "its graph is broken", "vm-1")]

    refusals.record({"production": None, "staging": None})
    assert recorded(bucket) == []


def test_a_worker_that_serves_what_the_alias_names_takes_the_record_of_one_that_is_gone_away() -> None:
    bucket = MemoryBucket()
    Refusals(bucket, "airline", "vm-1").record({"staging": BROKEN})
    Refusals(bucket, "airline", "vm-2").record({"staging": None})
    assert recorded(bucket) == []


def test_what_the_bucket_did_not_take_is_written_at_the_next_call() -> None:
    bucket = MemoryBucket()

    def refuse(operation: str, name: str) -> None:
        if operation == "commit":
            raise BucketError("the disk is full")

    bucket.hook = refuse
    refusals = Refusals(bucket, "airline", "vm-1")
    refusals.record({"production": BROKEN})
    assert recorded(bucket) == []
    bucket.hook = None
    refusals.record({"production": BROKEN})
    assert recorded(bucket) == [("production", "7", "its graph is broken", "vm-1")]


def test_status_shows_it_and_passes_over_what_is_no_record() -> None:
    bucket = MemoryBucket()
    Refusals(bucket, "airline", "vm-1").record({"production": BROKEN})
    put(bucket, "output/.refused/odd.json", b"[1]")
    seen = overview(bucket, MemoryQueue())
    assert [type(one) for one in seen.refused] == [RefusedVersion]
    assert seen.to_dict()["refused"][0]["version"] == "7"
    console = Console(width=200, file=io.StringIO(), record=True)
    console.print(status_screen(seen))
    assert "production names version 7, which was refused: its graph is broken (vm-1, 20" in console.export_text()
