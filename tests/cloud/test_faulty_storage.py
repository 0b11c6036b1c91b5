"""Cloud Storage fails in each way at each call of one file's way: one right output and one receipt all the same.

The worker's own parts in this process, on fake-gcs-server behind a proxy; its calls are those of the real programs.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ledger.names import CLAIMS, FAILURES, OUTPUT, RECEIPTS, Key
from ledger.receipt import Status
from tests.cloud.way import PRODUCTION, WAY, Step, step_of
from tests.contract.fault_proxy import Fault, FaultProxy, Request, fail_once
from tests.emulators import StorageServer
from tests.memory import MemoryBucket, MemoryQueue
from tests.worker_fixtures import Here, Worker, contents, dropped, fetched, survey, without_times
from transport.bucket import Bucket
from transport.buckets.gcs.bucket import GcsBucket
from transport.queue import Policy
from worker.versions.follow import InForce

pytestmark = pytest.mark.emulator

FAULTS = {
    "503": Fault("status", status=503),
    "429": Fault("status", status=429),
    "reset": Fault("reset"),
    "an answer that is lost": Fault("lose"),
    "an answer that is too late": Fault("late", status=504),
    "cut at byte 0": Fault("cut", at=0),
    "cut at byte 30": Fault("cut", at=30),
    "stalled at byte 30": Fault("stall", at=30),
}

KINDS = [
    pytest.param(kind, marks=() if kind in ("503", "an answer that is lost", "cut at byte 30") else pytest.mark.slow)
    for kind in FAULTS
]
ROWS = 60
CONTENT = [n for n, step in enumerate(WAY) if step.verb == "read" and step.object != "receipt"]  # that is not there yet


@dataclass(frozen=True)
class Result:
    """The names of all objects below output/, and what the important ones say."""

    objects: list[str]
    output: bytes
    shadow: bytes
    receipt: dict[str, Any]
    compared_rows: float
    failed: str


@dataclass
class Way:
    """A worker's parts on a bucket behind the proxy, and one file with its event in the queue."""

    proxy: FaultProxy
    direct: Bucket
    bucket: GcsBucket  # behind the proxy
    worker: Worker
    queue: MemoryQueue
    key: Key

    def run(self) -> int:
        """Handles deliveries until the queue is empty; gives how many there were."""
        deliveries = 0
        while len(self.queue):
            self.worker.handle()
            deliveries += 1
        return deliveries

    def steps(self) -> list[Step]:
        return [step_of(request) for request in self.proxy.requests]

    def result(self) -> Result:
        return result_of(self.direct, self.key)


def result_of(bucket: Bucket, key: Key) -> Result:
    """What a file came to."""
    there = contents(bucket, OUTPUT)
    [receipt] = [data for name, data in there.items() if name.startswith(RECEIPTS)]
    comparison = json.loads(there.get(key.comparison, b"{}"))
    return Result(
        objects=sorted(there),
        output=there[key.output],
        shadow=there.get(key.shadow, b""),
        receipt=without_times(receipt),
        compared_rows=comparison.get("rows", {}).get("read", 0),
        failed=comparison.get("failed", ""),
    )


@pytest.fixture
def way(
    storage_server: StorageServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Way]:
    name = f"b{time.time_ns()}"
    storage_server.make_bucket(name)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", storage_server.url)
    direct = GcsBucket(f"gs://{name}")
    event = dropped(direct, "a.csv", survey(ROWS))
    queue = MemoryQueue(Policy(min_backoff=0.05))
    queue.publish([event.to_message()])
    with FaultProxy(storage_server.url) as proxy:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", proxy.url)
        bucket = GcsBucket(direct.url, **getattr(request, "param", {}))
        versions = InForce(fetched(tmp_path, "1"), fetched(tmp_path, "2", bias=2.0))
        worker = Worker(bucket, queue, Here(bucket), Here(bucket), versions)
        yield Way(proxy, direct, bucket, worker, queue, Key("a.csv", event.generation))
        worker.leases.give_all_back()
        bucket.close()
    direct.close()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """What the same file comes to where nothing fails: on a bucket in memory."""
    folder, bucket = tmp_path_factory.mktemp("undisturbed"), MemoryBucket()
    event = dropped(bucket, "a.csv", survey(ROWS))
    queue = MemoryQueue()
    queue.publish([event.to_message()])
    versions = InForce(fetched(folder, "1"), fetched(folder, "2", bias=2.0))
    worker = Worker(bucket, queue, Here(bucket), Here(bucket), versions)
    worker.handle()
    worker.leases.give_all_back()
    return result_of(bucket, Key("a.csv", event.generation))


def assert_right(way: Way, undisturbed: Result, *, attempt: int = 1, compared: bool = True) -> None:
    """One output and one receipt, which are those of an undisturbed run, and nothing left behind."""
    found = way.result()
    # The note of a failed attempt stays until the publisher's next pass.
    objects = [name for name in found.objects if not name.startswith(FAILURES)]
    assert found.output == undisturbed.output
    assert found.receipt["status"] == Status.SCORED
    assert found.receipt["attempt"] == attempt
    different = {"attempt", "source"}
    assert {k: v for k, v in found.receipt.items() if k not in different} == {
        k: v for k, v in undisturbed.receipt.items() if k not in different
    }
    if compared:
        assert objects == sorted([way.key.output, way.key.receipt, way.key.shadow, way.key.comparison])
        assert (found.shadow, found.compared_rows, found.failed) == (undisturbed.shadow, ROWS, "")


def test_the_way_of_a_file_that_nothing_disturbs(way: Way, undisturbed: Result) -> None:
    assert way.run() == 1

    assert way.steps() == list(WAY)
    assert_right(way, undisturbed)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("number", range(len(WAY)), ids=lambda n: f"{n + 1} {WAY[n]}")
def test_a_call_that_fails_once_makes_no_difference(way: Way, undisturbed: Result, number: int, kind: str) -> None:
    # Given: the call fails when it is first made
    fail_once(way.proxy, way.bucket, number, FAULTS[kind])

    # When
    deliveries = way.run()

    # Then: it was tried again within the same delivery
    assert deliveries == 1
    assert step_of(way.proxy.requests[number]) == WAY[number]
    assert_right(way, undisturbed)


@pytest.mark.parametrize(
    "number",
    [n for n, step in enumerate(WAY) if step.verb == "read" and step.object != "receipt"],
    ids=lambda n: f"{n + 1} {WAY[n]}",
)
@pytest.mark.parametrize("at", [1, 40])
def test_a_read_that_arrives_damaged_makes_no_difference(way: Way, undisturbed: Result, number: int, at: int) -> None:
    # Given: a byte of the header, or of a row, is another one when the object is first read
    fail_once(way.proxy, way.bucket, number, Fault("damage", at=at))

    # When
    deliveries = way.run()

    # Then: it was read again within the same delivery
    assert deliveries == 1
    assert_right(way, undisturbed)


# Patience is short after a fault only: an answer that is slow to come is waited for.
@pytest.mark.parametrize("way", [{"patience": 0.6}], ids=["patience 0.6"], indirect=True)
@pytest.mark.parametrize("number", range(len(WAY)), ids=lambda n: f"{n + 1} {WAY[n]}")
def test_a_call_that_goes_on_failing_gives_the_message_back(way: Way, undisturbed: Result, number: int) -> None:
    # Given: from its place on the way the call fails, and goes on failing, with its effect or without
    kinds = [Fault("status"), Fault("lose")]

    def fails(request: Request) -> Fault | None:
        return kinds[request.number % 2] if request.number >= number and step_of(request) == WAY[number] else None

    way.proxy.plan = fails

    # When: the message is handled, and once more after the service has recovered
    way.worker.handle()
    waits = len(way.queue)
    way.proxy.plan = lambda _request: None
    further = way.run()

    # Then: what production needs was given back; a shadow that cannot be finished was given up, on record if possible
    of_production = number < len(PRODUCTION)
    assert waits == further == (1 if of_production else 0)
    found = way.result()
    if of_production:
        assert_right(way, undisturbed, attempt=found.receipt["attempt"])
        assert found.receipt["attempt"] in (1, 2)
    else:
        assert_right(way, undisturbed, compared=False)
        assert found.failed or WAY[number].object == "comparison"
        assert not [name for name in found.objects if name.startswith((CLAIMS, FAILURES))]
