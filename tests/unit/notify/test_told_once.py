"""Of several programs that see the same thing one tells it, and tells it once, also after a restart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edge.notify.news import Happening, News
from edge.notify.notifier import Notifier
from ledger.commit import claim_outcome
from ledger.names import RECEIPTS, TOLD, Key
from ledger.receipt import Outcome, Source, Status
from ledger.records import Failure, record_failure
from ledger.told import note_version
from models.evidence.judging.watcher import Watcher
from models.evidence.pages.registry_page import REACHED_TAG, VERDICT_TAG, RegistryPage
from models.registry.client import PRODUCTION, STAGING, Registry
from publisher.publish import Reconciler
from publisher.silence import Silence
from tests.memory import Clock, MemoryBucket, MemoryQueue
from tests.unit.compared import add_file
from tests.unit.registered import MODEL, good_files, new_registry, register
from tests.worker_fixtures import Here, Worker, contents, dropped, fetched, survey
from transport.bucket import BucketError, put
from transport.buckets.folder.bucket import FolderBucket
from transport.queue import Policy, QueueError
from worker.versions.records import Records
from worker.versions.refusals import Refusals
from worker.versions.seat import Refusal
from worker.versions.swap import InForce

BROKEN = Refusal("6", "its graph is broken")


class Told(Notifier):
    """Keeps what receivers would be told."""

    def __init__(self) -> None:
        super().__init__("gs://bucket")
        self.news: list[News] = []
        self._outboxes = [(self, "")]  # type: ignore[list-item]

    def tell(self, news: News) -> None:
        self.news.append(news)

    @property
    def said(self) -> list[tuple[str, str]]:
        return [(news.happening.name, news.subject) for news in self.news]


@pytest.fixture
def bucket() -> MemoryBucket:
    return MemoryBucket()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(clock: Clock) -> MemoryQueue:
    return MemoryQueue(Policy(lease=1_000.0), clock=clock)


class TestFiles:
    def worker(self, bucket: MemoryBucket, queue: MemoryQueue, folder: Path, told: Told) -> Worker:
        versions = InForce(fetched(folder, "1"))
        return Worker(bucket, queue, Here(bucket), Here(bucket), versions, {"notifier": told})

    def test_a_rejected_file_is_told_by_the_worker_that_wrote_its_receipt(self, bucket, queue, tmp_path):
        event, told, others = dropped(bucket, "bad.csv", b"no,survey\n1,2\n"), Told(), Told()
        queue.publish([event.to_message()] * 3)

        self.worker(bucket, queue, tmp_path, told).handle()
        self.worker(bucket, queue, tmp_path, told).handle()
        self.worker(bucket, queue, tmp_path, others).handle()

        assert told.said == [("REJECTED", f"bad.csv@{event.generation}")]
        assert others.said == []

    def test_a_scored_file_is_not_told(self, bucket, queue, tmp_path):
        told = Told()
        queue.publish([dropped(bucket, "good.csv", survey(5)).to_message()])

        self.worker(bucket, queue, tmp_path, told).handle()

        assert told.said == []
        assert len(contents(bucket, RECEIPTS)) == 1

    def test_a_dead_letter_is_told_by_one_of_two_publishers_and_quotes_nothing(self, bucket, queue):
        event = dropped(bucket, "poison.csv", survey(1))
        key = Key(event.name, event.generation)
        record_failure(bucket, key, Failure(5, "4111 1111 is no number", "vm-1", "2026-11-28T10:00:00Z"))
        queue.dead_letters.publish([event.to_message()] * 2)
        told, others = Told(), Told()

        for one in (told, others, told):
            Reconciler(bucket, queue, queue.dead_letters, settle=0.0, notifier=one).full_pass()

        assert told.said == [("DEAD_LETTERED", f"poison.csv@{event.generation}")]
        assert others.said == []
        assert "4111" not in str(told.news)

    def test_a_publisher_that_ends_what_a_worker_began_tells_it(self, bucket, queue):
        event = dropped(bucket, "bad.csv", survey(1))
        claim_outcome(bucket, Outcome(Status.REJECTED, Source.of(event), fault="header"))
        queue.dead_letters.publish([event.to_message()])
        told = Told()

        Reconciler(bucket, queue, queue.dead_letters, settle=0.0, notifier=told).full_pass()

        assert told.said == [("REJECTED", f"bad.csv@{event.generation}")]


class TestVersions:
    @pytest.fixture
    def versions(self, tmp_path):
        return {number: fetched(tmp_path, number) for number in ("4", "5", "6")}

    def test_a_refused_version_is_told_by_the_worker_that_noted_it(self, bucket, versions):
        told, others = Told(), Told()
        serving = InForce(versions["4"])
        for one in (told, others, told):  # the third: a worker that starts again
            Records(bucket, "airline", "vm", one).record({PRODUCTION: BROKEN}, serving)

        assert told.said == [("REFUSED", "airline/6")]
        assert others.said == []
        assert told.news[0].sentence.startswith("airline version 6 was refused as production, and version 4 goes on")

    def test_once_its_alias_served_the_same_refusal_is_another(self, bucket, versions):
        told = Told()
        worker = Records(bucket, "airline", "vm", told)
        for standing in ({PRODUCTION: BROKEN}, {PRODUCTION: None}, {PRODUCTION: BROKEN}):
            worker.record(standing, InForce(versions["4"]))

        assert [one for one, _ in told.said] == ["REFUSED", "REFUSED"]
        assert len({news.id("gs://bucket") for news in told.news}) == 2

    def test_another_version_takes_the_note_s_place(self, bucket, versions):
        told = Told()
        for version in ("6", "7"):
            Refusals(bucket, "airline", "vm", told).record({PRODUCTION: Refusal(version, "broken")})
        assert told.said == [("REFUSED", "airline/6"), ("REFUSED", "airline/7")]

    def test_a_move_is_told_by_one_of_many_workers_in_any_order(self, bucket, versions):
        told = [Told() for _ in range(3)]
        workers = [Records(bucket, "airline", "vm", one) for one in told]
        for worker in workers:
            worker.record({PRODUCTION: None, STAGING: None}, InForce(versions["4"]))
        assert [one.said for one in told] == [[], [], []]  # nothing is known that it has moved from

        for version in ("5", "4", "5"):  # and to and fro
            for worker in reversed(workers):
                worker.record({PRODUCTION: None, STAGING: None}, InForce(versions[version]))
                worker.record({PRODUCTION: None, STAGING: None}, InForce(versions[version]))
        for one in told:  # workers that start again
            Records(bucket, "airline", "vm", one).record({PRODUCTION: None}, InForce(versions["5"]))

        news = [each for one in told for each in one.news]
        assert [each.sentence for each in news] == [
            "airline version 5 is production now; it was version 4.",
            "airline version 4 is production now; it was version 5.",
            "airline version 5 is production now; it was version 4.",
        ]
        assert len({each.id("gs://bucket") for each in news}) == 3

    def test_a_staging_version_comes_and_goes(self, bucket, versions):
        told = Told()
        worker = Records(bucket, "airline", "vm", told)
        for staging in (None, "5", None):
            worker.record({STAGING: None}, InForce(versions["4"], versions[staging] if staging else None))

        assert [news.sentence for news in told.news] == [
            "airline version 5 is staging now; it was none.",
            "airline has no staging version any more; it was version 5.",
        ]

    def test_what_is_on_its_way_or_refused_has_not_moved(self, bucket, versions):
        told = Told()
        worker = Records(bucket, "airline", "vm", told)
        worker.record({PRODUCTION: None}, InForce(versions["4"]))
        worker.record({}, InForce(versions["5"]))
        worker.record({PRODUCTION: BROKEN}, InForce(versions["4"]))

        assert [news.happening for news in told.news] == [Happening.REFUSED]

    def test_without_receivers_the_bucket_is_not_asked(self, bucket, versions):
        Records(bucket, "airline", "vm", Notifier("gs://bucket")).record({PRODUCTION: None}, InForce(versions["4"]))
        assert contents(bucket, TOLD) == {}

    def test_a_bucket_that_takes_nothing_is_asked_again(self, bucket, versions):
        told = Told()
        worker = Records(bucket, "airline", "vm", told)
        worker.record({PRODUCTION: None}, InForce(versions["4"]))

        def refuse(operation: str, name: str) -> None:
            if operation == "commit":
                raise BucketError("the disk is full")

        bucket.hook = refuse
        worker.record({PRODUCTION: None}, InForce(versions["5"]))
        assert told.said == []
        bucket.hook = None
        worker.record({PRODUCTION: None}, InForce(versions["5"]))
        assert told.said == [("MOVED", "airline/production")]

    def test_a_worker_that_is_overtaken_while_it_notes_a_move_does_not_tell_it(self, bucket):
        note_version(bucket, PRODUCTION, "airline", "4")

        def overtake(operation: str, name: str) -> None:
            if operation == "commit":
                bucket.hook = None
                assert note_version(bucket, PRODUCTION, "airline", "5") is not None

        bucket.hook = overtake
        assert note_version(bucket, PRODUCTION, "airline", "5") is None

    def test_another_model_or_a_note_that_cannot_be_read_begins_a_new_one(self, bucket):
        put(bucket, f"{TOLD}production.json", b"{")
        assert note_version(bucket, PRODUCTION, "airline", "4") is None
        assert note_version(bucket, PRODUCTION, "other", "9") is None
        assert note_version(bucket, PRODUCTION, "other", "8") is not None


class TestSilence:
    @pytest.fixture
    def told(self):
        return Told()

    @pytest.fixture
    def silence(self, bucket, queue, told, clock):
        return Silence(bucket, queue, told, 300.0, ticks=lambda: clock())

    def test_it_is_told_once_after_its_time_and_again_after_a_sign_of_life(self, bucket, queue, told, clock, silence):
        def passes(minutes, waiting, answered):
            for _ in range(minutes):
                silence.passed(waiting, answered)
                clock.now += 60.0

        passes(5, 3, 10)
        assert told.said == []
        passes(60, 3, 10)
        assert told.said == [("SILENCE", "workers")]
        assert told.news[0].sentence == "3 files wait, and no worker has shown itself for 300 seconds."

        # another publisher, and this one started again
        for _ in range(2):
            other = Silence(bucket, queue, told, 300.0, ticks=lambda: clock())
            for _ in range(20):
                other.passed(3, 10)
                clock.now += 60.0
        assert len(told.news) == 1

        passes(3, 2, 11)  # a receipt has come
        passes(60, 2, 11)
        assert [one for one, _ in told.said] == ["SILENCE"] * 2
        assert len({news.id("gs://bucket") for news in told.news}) == 2

    def test_nothing_that_waits_is_no_silence(self, told, clock, silence):
        for _ in range(20):
            silence.passed(0, 10)
            clock.now += 60.0
        assert told.said == []

    def test_a_message_in_a_worker_s_hand_is_a_sign_of_life(self, bucket, queue, told, clock, silence):
        queue.publish([dropped(bucket, "a.csv", survey(1)).to_message()])
        [held] = queue.pull(1, 0.0)
        for _ in range(20):
            silence.passed(1, 0)
            clock.now += 40.0
            held.extend()
        assert told.said == []

    def test_a_queue_or_a_bucket_that_does_not_answer_ends_no_pass(
        self, bucket, queue, told, clock, monkeypatch, silence
    ):
        def away():
            raise QueueError("it is away")

        with monkeypatch.context() as patched:
            patched.setattr(queue, "backlog", away)
            for _ in range(20):
                silence.passed(1, 0)
                clock.now += 60.0
        assert told.said == []

    def test_a_publisher_notices_it(self, bucket, queue, told, clock):
        dropped(bucket, "a.csv", survey(1))
        publisher = Reconciler(
            bucket, queue, queue.dead_letters, settle=0.0, now=lambda: clock(), ticks=lambda: clock(), notifier=told
        )
        for _ in range(8):
            publisher.full_pass()
            clock.now += 60.0
        assert told.said == [("SILENCE", "workers")]


class TestVerdicts:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> FolderBucket:
        return FolderBucket(str(tmp_path / "bucket"))

    @pytest.fixture
    def uri(self, tmp_path: Path) -> str:
        address = new_registry(tmp_path)
        for number in "12":
            register(address, tmp_path / number, good_files(float(number)))
        return address

    def watcher(self, bucket: Any, uri: str, told: Told) -> Watcher:
        registry = Registry(uri, MODEL)
        return Watcher(bucket, registry, RegistryPage(registry), notifier=told)

    def test_a_verdict_is_told_once_also_by_a_watch_that_starts_again(self, folder, uri):
        told = Told()
        add_file(folder, 0, better=0.6)
        watching = self.watcher(folder, uri, told)
        assert watching.look()
        for number in range(1, 8):
            add_file(folder, number, better=0.6)
            assert watching.look()
        assert told.said == [("VERDICT", f"{MODEL}/2")]
        assert told.news[0].fields()["verdict"] == "staging is better"

        # the verdict is another for a while, and then the same
        run = the_run(uri)
        Registry(uri, MODEL).client.set_tag(run.info.run_id, VERDICT_TAG, "not yet: each was better for a time")
        add_file(folder, 9, better=0.6)
        assert self.watcher(folder, uri, told).look()
        assert the_run(uri).data.tags[VERDICT_TAG] == "staging is better"
        assert len(told.news) == 1

    def test_one_that_was_written_before_there_were_receivers_is_not_told(self, folder, uri):
        told = Told()
        for number in range(8):
            add_file(folder, number, better=0.6)
        assert self.watcher(folder, uri, Told()).look()
        run = the_run(uri)
        assert run.data.tags[VERDICT_TAG] == run.data.tags[REACHED_TAG] == "staging is better"

        # as an earlier release has left it
        Registry(uri, MODEL).client.delete_tag(run.info.run_id, REACHED_TAG)
        add_file(folder, 8, better=0.6)
        assert self.watcher(folder, uri, told).look()
        assert told.said == []


def the_run(uri: str) -> Any:
    """The run of the only pair."""
    client = Registry(uri, MODEL).client
    experiment = client.get_experiment_by_name(f"{MODEL}: staging against production")
    [run] = client.search_runs([experiment.experiment_id])
    return run


def test_what_is_noted_is_plain_json(bucket: MemoryBucket) -> None:
    note_version(bucket, PRODUCTION, "airline", "4")
    [content] = contents(bucket, TOLD).values()
    assert json.loads(content) == ["airline", "4"]
