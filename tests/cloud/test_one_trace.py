"""One trace per file, seen whole: from the publisher over the queue into the worker, its commit and its shadow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from edge import traces
from publisher.publish import Reconciler
from tests.cloud.house import House
from tests.worker_fixtures import Here, Worker, fetched, survey
from transport.bucket import Bucket, put
from transport.buckets.folder.bucket import FolderBucket
from transport.open import open_dead_letters
from transport.queue import Queue
from transport.queues.pubsub.queue import PubSubQueue
from transport.queues.sqlite.queue import LocalQueue
from worker.versions.swap import InForce

STEPS = ["read", "validate", "score", "write"]
Spans = Callable[[], tuple[ReadableSpan, ...]]


@pytest.fixture
def spans() -> Iterator[Spans]:
    """Every span that has ended."""
    exporter = InMemorySpanExporter()
    provider = traces.trace_to("test", exporter)
    yield exporter.get_finished_spans
    traces.stop_traces(provider)


def worker_of(bucket: Bucket, queue: Queue, folder: Path) -> Worker:
    versions = InForce(fetched(folder, "1"), fetched(folder, "2", bias=1.0))
    return Worker(bucket, queue, Here(bucket), Here(bucket), versions)


def tree(spans: tuple[ReadableSpan, ...], root: ReadableSpan) -> dict[str, object]:
    """Name → what lies below it, of the spans below `root`."""
    return {
        span.name: tree(spans, span)
        for span in sorted(spans, key=lambda span: (span.start_time or 0, span.name))
        if span.parent is not None and root.context is not None and span.parent.span_id == root.context.span_id
    }


def check_whole(spans: tuple[ReadableSpan, ...], first: str) -> None:
    """All spans are of one trace that begins with `first`, and each lies within the time of its file."""
    assert len({span.context.trace_id for span in spans if span.context}) == 1
    [root] = [span for span in spans if span.parent is None]
    assert root.name == first
    worker = tree(spans, root)["handle"] if first == "publish" else tree(spans, root)
    assert isinstance(worker, dict)
    assert set(worker) == {"scoring", "commit", "shadow"}
    assert list(worker["scoring"]) == STEPS
    handled = next(span for span in spans if span.name == "handle")
    assert handled.attributes is not None
    assert (handled.attributes["file"], handled.attributes["attempt"]) == ("flights.csv", 1)
    for span in spans:
        assert span.start_time is not None
        assert span.end_time is not None
        assert root.start_time is not None
        assert root.start_time <= span.start_time <= span.end_time, span.name


def publish_and_score(bucket: Bucket, queue: Queue, dead_letters: Queue, worker: Worker) -> None:
    """What publisher and worker do for the one file that lies in the bucket."""
    assert Reconciler(bucket, queue, dead_letters, settle=0.0).full_pass().published == 1
    worker.handle()
    worker.leases.give_all_back()


def test_on_a_folder_and_the_local_queue(tmp_path: Path, spans: Spans) -> None:
    bucket, queue = FolderBucket(str(tmp_path / "bucket")), LocalQueue(str(tmp_path / "queue.db"))
    put(bucket, "flights.csv", survey(50))
    with closing(queue), closing(open_dead_letters(queue.url)) as dead_letters:
        publish_and_score(bucket, queue, dead_letters, worker_of(bucket, queue, tmp_path))

    check_whole(spans(), "publish")


@pytest.mark.slow
@pytest.mark.emulator
def test_on_cloud_storage_and_pubsub(house: House, spans: Spans) -> None:
    # Given a file that came while there was no topic, so that no notification told of it
    put(house.bucket, "flights.csv", survey(50), content_type="text/csv")
    house.provision()
    queue = PubSubQueue(house.queue_url)
    with closing(queue), closing(open_dead_letters(house.queue_url)) as dead_letters:
        # When the publisher finds it, and a worker scores it
        worker = worker_of(house.bucket, queue, house.folder)
        publish_and_score(house.bucket, queue, dead_letters, worker)

    # Then there is one trace of it all
    check_whole(spans(), "publish")


@pytest.mark.slow
@pytest.mark.emulator
def test_of_a_file_that_a_notification_told_of_it_begins_at_the_worker(house: House, spans: Spans) -> None:
    house.provision()
    put(house.bucket, "flights.csv", survey(50), content_type="text/csv")

    with closing(PubSubQueue(house.queue_url)) as queue:
        worker = worker_of(house.bucket, queue, house.folder)
        worker.handle()
        worker.leases.give_all_back()

    check_whole(spans(), "handle")
