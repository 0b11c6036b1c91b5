"""What one file costs in calls of Cloud Storage and Pub/Sub: counted, printed, and what docs/cloud.md says."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.pubsub_v1.services.publisher import PublisherClient
from google.pubsub_v1.services.subscriber import SubscriberClient

from deploy.waiting import wait_for
from ledger.names import Key
from ledger.receipt import Status
from tests.chaos.understudy import ROOT
from tests.cloud.way import CLASS_A, CLASS_B, FREE, PRODUCTION, WAY, Step, step_of
from tests.contract.fault_proxy import FaultProxy
from tests.contract.queues import Queues
from tests.emulators import StorageServer
from tests.worker_fixtures import Here, Worker, dropped, fetched, receipt_of, survey
from transport.buckets.gcs.bucket import GcsBucket
from worker.versions.follow import InForce

pytestmark = pytest.mark.emulator

MOST_CLASS_A, MOST_CLASS_B = 6, 5
FILES = 3
WIDTHS = ((CLASS_A, 9), (CLASS_B, 9), (FREE, 12))


@pytest.fixture
def proxy(storage_server: StorageServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    with FaultProxy(storage_server.url) as proxy:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", proxy.url)
        yield proxy


@pytest.fixture
def bucket(proxy: FaultProxy, storage_server: StorageServer) -> Iterator[GcsBucket]:
    name = f"b{time.time_ns()}"
    storage_server.make_bucket(name)
    bucket = GcsBucket(f"gs://{name}")
    yield bucket
    bucket.close()


@pytest.fixture
def pubsub_calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Every call of Pub/Sub that this process makes, streams apart: its name → how many."""
    calls: Counter[str] = Counter()
    for client, name in (
        (SubscriberClient, "acknowledge"),
        (SubscriberClient, "modify_ack_deadline"),
        (SubscriberClient, "get_subscription"),
        (SubscriberClient, "pull"),
        (PublisherClient, "publish"),
    ):
        original = getattr(client, name)

        def counted(self, *given, _name=name, _original=original, **named):  # type: ignore[no-untyped-def]
            calls[_name] += 1
            return _original(self, *given, **named)

        monkeypatch.setattr(client, name, counted)
    return calls


def billed(proxy: FaultProxy) -> list[Step]:
    """The calls so far. An answer of 404 is not billed."""
    steps = [(step_of(request), proxy.statuses[request.number]) for request in proxy.requests]
    return [Step(step.verb, step.object, FREE) if status == 404 else step for step, status in steps]


def counts(steps: list[Step] | tuple[Step, ...]) -> tuple[int, int, int]:
    """Class A, class B, not billed."""
    count = Counter(step.billed for step in steps)
    return count[CLASS_A], count[CLASS_B], count[FREE]


@pytest.mark.parametrize("queues", ["pubsub, for long"], ids=["pubsub"], indirect=True)
def test_production_and_shadow_within_their_budget(
    queues: Queues, bucket: GcsBucket, proxy: FaultProxy, pubsub_calls: Counter[str], tmp_path: Path
) -> None:
    # Given: a worker that has done its first file, so that all connections stand; no lease needs to be extended in time
    versions = InForce(fetched(tmp_path, "1"), fetched(tmp_path, "2", bias=2.0))
    worker = Worker(bucket, queues.open(), Here(bucket), Here(bucket), versions)
    publisher = queues.open()
    publisher.publish([dropped(bucket, "first.csv", survey(50)).to_message()])
    worker.handle()
    wait_for(lambda: pubsub_calls["acknowledge"] == 1)

    # When: new files come, one after the other, each told once
    proxy.forget()
    pubsub_calls.clear()
    ways, events = [], []
    for number in range(FILES):
        events.append(dropped(bucket, f"{number}.csv", survey(50)))
        proxy.forget()
        publisher.publish([events[-1].to_message()])
        worker.handle()
        ways.append(billed(proxy))
    worker.leases.give_all_back()
    queues.opened[0].close()  # what is still to be acked is sent

    # Then: each was scored and compared, with the same calls
    for event in events:
        key = Key(event.name, event.generation)
        assert receipt_of(bucket, key).status is Status.SCORED
        assert bucket.stat(key.comparison) is not None
    assert [[(step.verb, step.object) for step in way] for way in ways] == [
        [(step.verb, step.object) for step in WAY]
    ] * FILES
    assert len({counts(way) for way in ways}) == 1
    production, both = counts(ways[0][: len(PRODUCTION)]), counts(ways[0])

    print(f"\n{'call':<28}{CLASS_A:>9}{CLASS_B:>9}{FREE:>12}")
    for step in ways[0]:
        print(f"{step!s:<28}" + "".join(f"{1:>{w}}" if step.billed == c else " " * w for c, w in WIDTHS))
    for name, numbers in (("production", production), ("production and shadow", both)):
        print(f"{name:<28}" + "".join(f"{n:>{w}}" for n, (_, w) in zip(numbers, WIDTHS, strict=True)))
    per_file = {name: count / FILES for name, count in sorted(pubsub_calls.items())}
    print("Pub/Sub calls per file, one at a time:", per_file)

    # And: that is within the budget, and docs/cloud.md says the same
    class_a, class_b, _ = both
    assert class_a <= MOST_CLASS_A
    assert class_b <= MOST_CLASS_B
    document = (ROOT / "docs" / "cloud.md").read_text()
    for name, numbers in (("production", production), ("production and shadow", both)):
        row = f"| **{name}** | " + " | ".join(f"**{n}**" for n in numbers) + " |"
        assert row in document, f"docs/cloud.md is to say: {row}"

    # And: of Pub/Sub it takes the message, a full lease, and the ack (what the stream extends by itself included)
    assert per_file["publish"] == 1  # by Cloud Storage itself, where notifications are on
    assert per_file["acknowledge"] <= 1
    assert per_file["modify_ack_deadline"] <= 3
    assert "pull" not in per_file


@pytest.mark.parametrize("queues", ["pubsub, for long"], ids=["pubsub"], indirect=True)
def test_a_message_that_comes_again_costs_two_looks(
    queues: Queues, bucket: GcsBucket, proxy: FaultProxy, tmp_path: Path
) -> None:
    # Given: a file with its receipt and its comparison
    versions = InForce(fetched(tmp_path, "1"), fetched(tmp_path, "2", bias=2.0))
    worker = Worker(bucket, queues.open(), Here(bucket), Here(bucket), versions)
    event = dropped(bucket, "a.csv", survey(50))
    publisher = queues.open()
    publisher.publish([event.to_message()])
    worker.handle()

    # When: its message comes once more
    proxy.forget()
    publisher.publish([event.to_message()])
    worker.handle()
    worker.leases.give_all_back()

    # Then
    again = billed(proxy)
    print(f"\na message that comes again: {', '.join(map(str, again))}")
    assert counts(again) == (0, 2, 1)
