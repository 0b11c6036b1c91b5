"""The way of one message: what is scored, what is passed over, what comes again, and what is put on record."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from deploy.waiting import wait_for
from edge import metrics
from ledger.commit import claim_metadata, open_claim
from ledger.names import UNUSABLE, Key
from ledger.receipt import Outcome, Source, Status
from ledger.records import read_failure
from tests.memory import Clock, MemoryBucket, MemoryQueue
from tests.worker_fixtures import Here, Worker, contents, dropped, fetched, receipt_of, survey
from transport.bucket import BucketError, get, put
from transport.event import Generation, Message, ObjectEvent
from transport.queue import Policy, QueueError
from worker.handle import FilenamesLog
from worker.processes.process import ScorerDied, TaskFailed
from worker.versions.swap import InForce


@pytest.fixture
def bucket():
    return MemoryBucket()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def queue(clock):
    return MemoryQueue(Policy(lease=1_000.0), clock=clock)


@pytest.fixture
def worker(bucket, queue, tmp_path):
    """A worker with a production version and none in staging, that scores in this process."""
    made = Worker(bucket, queue, Here(bucket), Here(bucket), InForce(fetched(tmp_path, "1")))
    yield made
    made.leases.give_all_back()


@pytest.fixture
def staging(worker, tmp_path):
    """The same with a staging version."""
    worker.follower.in_force = replace(worker.follower.in_force, staging=fetched(tmp_path, "2", bias=1.0))
    return worker


def publish(queue, *events):
    queue.publish([event.to_message() for event in events])


def raising(error):
    class Pool:
        def run_next(self, _make, _timeout):
            raise error

    return Pool()


def with_pool(worker, pool):
    object.__setattr__(worker.handler, "pool", pool)


class TestScoring:
    def test_a_file_is_scored_and_its_message_acked(self, worker, bucket, queue):
        event = dropped(bucket, "a.csv", survey(5))
        publish(queue, event)

        worker.handle()

        assert receipt_of(bucket, Key("a.csv", event.generation)).status is Status.SCORED
        assert len(get(bucket, "output/pred_a.csv").splitlines()) == 6
        assert len(queue) == 0
        assert len(worker.leases) == 0

    def test_the_steps_are_logged_under_the_file_s_name_and_the_name_is_written_down(
        self, worker, bucket, queue, tmp_path
    ):
        object.__setattr__(worker.handler, "filenames", FilenamesLog(str(tmp_path / "names.txt")))
        publish(queue, dropped(bucket, "a.csv", survey(5)))

        with capture_logs() as logs:
            worker.handle()

        assert [log["event"] for log in logs] == ["file taken", "receipt written"]
        assert all((log["file"], log["generation"], log["attempt"]) == ("a.csv", "1", 1) for log in logs)
        assert (logs[1]["status"], logs[1]["model_version"], logs[1]["rows"]) == ("scored", "1", 5)
        assert (tmp_path / "names.txt").read_text().endswith(" 1 a.csv\n")

    def test_a_bad_file_is_rejected_and_its_message_acked(self, worker, bucket, queue):
        publish(queue, dropped(bucket, "a.csv", b"no,survey\n1,2\n"))

        with capture_logs() as logs:
            worker.handle()

        assert receipt_of(bucket, Key("a.csv", Generation(1))).status is Status.REJECTED
        assert logs[-1]["reason"].startswith("the header lacks 'colour'")
        assert len(queue) == 0

    def test_a_file_replaced_before_it_was_scored_is_superseded(self, worker, bucket, queue):
        publish(queue, dropped(bucket, "a.csv", survey(5)), dropped(bucket, "a.csv", survey(6)))

        worker.handle()
        worker.handle()

        assert receipt_of(bucket, Key("a.csv", Generation(1))).status is Status.SUPERSEDED
        assert receipt_of(bucket, Key("a.csv", Generation(2))).status is Status.SCORED
        assert len(get(bucket, "output/pred_a.csv").splitlines()) == 7

    def test_the_same_message_five_times_changes_nothing_after_the_first(self, worker, bucket, queue):
        event = dropped(bucket, "a.csv", survey(5))
        publish(queue, *[event] * 5)

        worker.handle()
        before = {name: bucket.stat(name) for name in contents(bucket, "")}
        for _ in range(4):
            worker.handle()

        assert {name: bucket.stat(name) for name in contents(bucket, "")} == before
        assert len(worker.scorers.tasks) == 1
        assert len(queue) == 0

    def test_a_redelivery_follows_the_claim_of_a_worker_that_died(self, worker, bucket, queue, clock):
        # Given a delivery that was lost with its worker, after it had claimed
        event = dropped(bucket, "a.csv", survey(5))
        key = Key("a.csv", event.generation)
        claimed = Outcome(Status.REJECTED, Source("bucket", "a.csv", event.generation.content))
        publish(queue, event)
        queue.pull(1, 0)
        with open_claim(bucket, key, claim_metadata(claimed)):
            pass
        clock.advance(2_000)
        queue.backlog()
        clock.advance(2_000)

        # When it comes again
        worker.handle()

        # Then nothing is scored a second time
        assert receipt_of(bucket, key) == claimed
        assert worker.scorers.tasks == []

    def test_a_rescoring_is_a_generation_of_its_own(self, worker, bucket, queue, tmp_path):
        event = dropped(bucket, "a.csv", survey(5))
        publish(queue, event)
        worker.handle()
        worker.follower.in_force = InForce(fetched(tmp_path, "2", bias=9.0))

        publish(queue, replace(event, generation=Generation(event.generation.content, 1), source="rescore"))
        worker.handle()

        first, second = (receipt_of(bucket, Key("a.csv", Generation(1, n))) for n in (0, 1))
        assert (first.model.version, second.model.version) == ("1", "2")
        assert first.sha256 != second.sha256 == bucket.stat("output/pred_a.csv").metadata["sha256"]

    @pytest.mark.parametrize("number", [2, 2**63 - 1])
    @pytest.mark.parametrize("scored_before", [False, True])
    def test_a_rescoring_that_stands_on_no_receipt_blocks_nothing(self, worker, bucket, queue, number, scored_before):
        # Given a message that asks for a re-scoring far ahead, before the file's ordinary scoring or after it
        event = dropped(bucket, "a.csv", survey(5))
        content = event.generation.content
        if scored_before:
            publish(queue, event)
            worker.handle()
        publish(queue, replace(event, generation=Generation(content, number), source="rescore"))
        worker.handle()

        # Then it is put on record, and nothing is scored for it
        [record] = [json.loads(data) for data in contents(bucket, UNUSABLE).values()]
        assert f"it asks for re-scoring {number} of 'a.csv'" in record["reason"]
        assert len(worker.scorers.tasks) == scored_before
        assert len(queue) == 0

        # And the ordinary scoring and the next re-scoring go on as if it had never come
        for rescore in range(scored_before, 2):
            publish(queue, replace(event, generation=Generation(content, rescore)))
            worker.handle()
            assert receipt_of(bucket, Key("a.csv", Generation(content, rescore))).status is Status.SCORED


class TestOtherMessages:
    @pytest.mark.parametrize(
        ("attributes", "reason"),
        [
            ({}, "eventType is ''"),
            ({"eventType": "OBJECT_DELETE"}, "OBJECT_DELETE"),
            ({"bucketId": "another"}, "it is about the bucket 'another', and this one is 'bucket'"),
            ({"objectId": "../../etc/passwd.csv"}, "not a plain path"),
            ({"objectGeneration": "9" * 100}, "not a whole number"),
        ],
    )
    def test_a_message_that_names_nothing_to_score_is_put_on_record_and_acked(
        self, worker, bucket, queue, attributes, reason
    ):
        good = dropped(bucket, "a.csv", survey(2)).to_message()
        queue.publish([Message(b"x" * 1_000_000, {**good.attributes, **attributes} if attributes else {})])

        worker.handle()

        [record] = [json.loads(data) for name, data in contents(bucket, UNUSABLE).items()]
        assert reason in record["reason"]
        assert record["payload_bytes"] == 1_000_000
        assert len(queue) == 0

    @pytest.mark.parametrize("name", ["notes.txt", "deep/a.csv", "output/pred_a.csv", ".a.csv", "a.csv.tmp"])
    def test_what_is_no_input_is_passed_over(self, worker, bucket, queue, name):
        publish(queue, dropped(bucket, name, survey(2)))

        worker.handle()

        assert set(contents(bucket, "")) == {name}
        assert len(queue) == 0

    @pytest.mark.parametrize("source", ["poller", "watch", "rescore"])
    @pytest.mark.parametrize("name", ["a.csv", "elsewhere/a.csv", "in/deeper/a.csv"])
    def test_a_publisher_s_message_outside_the_prefix_is_warned_of_recorded_and_counted(
        self, worker, bucket, queue, name, source
    ):
        # Given a worker whose prefix is another than its publisher's
        object.__setattr__(worker.handler, "prefix", "in/")
        publish(queue, replace(dropped(bucket, name, survey(2)), source=source))
        before = metrics.UNUSABLE._value.get()

        # When the message comes
        with capture_logs() as logs:
            worker.handle()

        # Then it is not acked unsaid
        [warning] = [entry for entry in logs if entry["log_level"] == "warning"]
        [record] = [json.loads(data) for data in contents(bucket, UNUSABLE).values()]
        assert "publishers and workers of a queue need the same UNDERSTUDY_PREFIX" in warning["reason"]
        assert record["reason"] == warning["reason"]
        assert record["attributes"]["objectId"] == name
        assert metrics.UNUSABLE._value.get() == before + 1
        assert len(queue) == 0

    def test_a_notification_about_what_only_looks_like_an_input_is_told_once(self, worker, bucket, queue):
        # The bucket itself tells of everything in it
        object.__setattr__(worker.handler, "prefix", "in/")
        events = [dropped(bucket, name, b"x") for name in ("a.csv", "in/a.csv.zip", "in/deep/a.csv", "notes.txt")]
        publish(queue, *events, *events)

        with capture_logs() as logs:
            while len(queue):
                worker.handle()

        told = [entry for entry in logs if entry["event"] == "not an input" and entry["log_level"] == "info"]
        assert [entry["file"] for entry in told] == ["a.csv", "in/a.csv.zip", "in/deep/a.csv"]
        assert "outside the prefix 'in/'" in told[0]["reason"]
        assert contents(bucket, UNUSABLE) == {}

    def test_a_name_of_which_no_receipt_could_be_made_costs_no_attempt(self, worker, bucket, queue):
        publish(queue, dropped(bucket, "x" * 1000 + ".csv", survey(2)))

        with capture_logs() as logs:
            worker.handle()

        assert "of more than 947" in logs[-1]["reason"]
        assert worker.scorers.tasks == []
        assert len(queue) == 0

    def test_with_a_prefix_only_what_lies_directly_below_it_is_scored(self, worker, bucket, queue):
        object.__setattr__(worker.handler, "prefix", "in/")
        publish(queue, dropped(bucket, "a.csv", survey(2)), dropped(bucket, "in/a.csv", survey(2)))

        worker.handle()
        worker.handle()

        assert [task.attempt.key.name for task in worker.scorers.tasks] == ["in/a.csv"]
        assert "output/pred_in/a.csv" in contents(bucket, "")


class TestFailures:
    @pytest.mark.parametrize(
        "error",
        [
            ScorerDied("its scoring process was killed by SIGKILL (out of memory?)"),
            TaskFailed("BucketError", "the network is gone"),
        ],
    )
    def test_a_failed_attempt_is_noted_and_comes_again(self, worker, bucket, queue, clock, error):
        event = dropped(bucket, "a.csv", survey(2))
        publish(queue, event)
        pool = worker.handler.pool
        with_pool(worker, raising(error))

        worker.handle()

        # Then it is back in the queue with a note of why
        note = read_failure(bucket, Key("a.csv", event.generation))
        assert (note.attempt, note.error, note.worker) == (1, str(error), "host-17")
        assert (queue.backlog().waiting, queue.backlog().leased) == (1, 0)

        # When it comes again and goes well, then all is well
        clock.advance(1_000)
        with_pool(worker, pool)
        worker.handle()
        assert receipt_of(bucket, Key("a.csv", event.generation)).attempt == 2

    def test_a_file_that_fails_every_time_is_dead_lettered_while_others_go_on(self, worker, bucket, queue, clock):
        poison, good = dropped(bucket, "poison.csv", survey(2)), dropped(bucket, "good.csv", survey(2))
        publish(queue, poison, good)
        pool = worker.handler.pool

        class Selective:
            def run_next(self, make, timeout):
                task = make()
                if task.attempt.key.name == "poison.csv":
                    raise ScorerDied("its scoring process was killed by SIGSEGV")
                return pool.run(task, timeout)

        with_pool(worker, Selective())
        for _ in range(6):
            worker.handle()
            clock.advance(1_000)

        assert len(queue) == 0
        assert len(queue.dead_letters) == 1
        assert read_failure(bucket, Key("poison.csv", poison.generation)).attempt == 5
        assert receipt_of(bucket, Key("good.csv", good.generation)).status is Status.SCORED

    def test_a_bucket_that_fails_costs_an_attempt(self, worker, bucket, queue):
        publish(queue, dropped(bucket, "a.csv", survey(2)))

        def fail(operation, _name):
            if operation != "stat":
                raise BucketError("no space left")

        bucket.hook = fail
        with capture_logs() as logs:
            worker.handle()

        bucket.hook = None
        assert queue.backlog().waiting == 1
        assert [log["event"] for log in logs] == ["file taken", "attempt failed", "failure not noted"]

    def test_a_cached_model_that_was_lost_is_brought_back(self, worker, bucket, queue):
        publish(queue, dropped(bucket, "a.csv", survey(2)))
        version = worker.follower.in_force.production
        version.graph.unlink()

        worker.handle()

        assert worker.follower.repaired == [version]
        assert queue.backlog().waiting == 1

    def test_without_a_production_version_files_wait(self, worker, bucket, queue):
        event = dropped(bucket, "a.csv", survey(2))
        publish(queue, event)
        worker.follower.in_force = InForce()

        worker.handle()

        assert queue.backlog().waiting == 1
        assert "no version is in force" in read_failure(bucket, Key("a.csv", event.generation)).error

    def test_a_receipt_that_nobody_can_read_costs_an_attempt_and_not_the_worker(self, worker, bucket, queue):
        event = dropped(bucket, "a.csv", survey(2))
        put(bucket, Key("a.csv", event.generation).receipt, b"garbage")
        publish(queue, event)

        with capture_logs() as logs:
            worker.handle()

        assert queue.backlog().waiting == 1
        assert logs[-1]["event"] == "message failed in an unforeseen way"

    def test_at_the_end_an_interrupted_file_is_given_back_without_a_note(self, worker, bucket, queue):
        event = dropped(bucket, "a.csv", survey(2))
        publish(queue, event)
        with_pool(worker, raising(ScorerDied("it was ended")))
        worker.handler.ending.set()

        worker.handle()

        assert queue.backlog().waiting == 1
        assert read_failure(bucket, Key("a.csv", event.generation)) is None

    @pytest.mark.parametrize("verb", ["ack", "nack", "extend"])
    def test_a_queue_that_fails_at_the_wrong_moment_does_no_harm(self, worker, bucket, queue, monkeypatch, verb):
        # Given a queue that cannot be told what became of its deliveries
        event = dropped(bucket, "a.csv", survey(2))
        publish(queue, event)
        if verb == "nack":
            with_pool(worker, raising(ScorerDied("it died")))

        def fail(_queue, _delivery, what):
            if what == verb:
                raise QueueError("the disk is full")

        monkeypatch.setattr(MemoryQueue, "_settle", fail)

        # Then the handler does not raise, and the delivery is no longer in hand: it comes again
        worker.handle()
        assert len(worker.leases) == 0
        assert worker.leases.give_all_back() == 0


class TestTheShadow:
    def test_a_scored_file_gets_its_shadow_and_comparison_before_the_ack(self, staging, bucket, queue):
        event = dropped(bucket, "a.csv", survey(5))
        publish(queue, event)

        staging.handle()

        key = Key("a.csv", event.generation)
        assert bucket.stat(key.shadow).metadata["model-version"] == "2"
        assert json.loads(get(bucket, key.comparison))["rows"]["read"] == 5
        wait_for(lambda: len(queue) == 0)

    def test_production_and_staging_of_one_version_give_no_shadow_and_no_error(self, worker, bucket, queue):
        worker.follower.in_force = replace(worker.follower.in_force, staging=worker.follower.in_force.production)
        publish(queue, dropped(bucket, "a.csv", survey(5)))

        worker.handle()

        assert worker.shadows.tasks == []
        assert not any("comparisons" in name or "shadow" in name for name in contents(bucket, ""))
        assert len(queue) == 0

    def test_a_rejected_file_has_no_shadow(self, staging, bucket, queue):
        publish(queue, dropped(bucket, "a.csv", b""))

        staging.handle()

        assert staging.shadows.tasks == []
        assert len(queue) == 0

    def test_a_redelivery_makes_up_for_a_lost_shadow_and_only_once(self, staging, bucket, queue, tmp_path):
        # Given a worker that died before the shadow of a file that it had scored
        event = dropped(bucket, "a.csv", survey(5))
        publish(queue, event)
        in_force = staging.follower.in_force
        staging.follower.in_force = replace(in_force, staging=None)
        staging.handle()
        staging.follower.in_force = in_force

        # When the message comes again, and again
        publish(queue, event, event)
        staging.handle()
        assert bucket.stat(Key("a.csv", event.generation).comparison) is not None
        staging.handle()

        # Then the shadow has run once
        assert len(staging.shadows.tasks) == 1
        wait_for(lambda: len(queue) == 0)

    def test_a_file_that_another_version_scored_is_not_compared(self, staging, bucket, queue, tmp_path):
        event = dropped(bucket, "a.csv", survey(5))
        publish(queue, event)
        in_force = staging.follower.in_force
        staging.follower.in_force = InForce(in_force.production)
        staging.handle()

        staging.follower.in_force = replace(in_force, production=fetched(tmp_path, "3"))
        publish(queue, event)
        staging.handle()

        assert staging.shadows.tasks == []

    def test_the_share_of_files_that_have_a_shadow_is_chosen_by_their_names(self, staging, bucket, queue):
        from worker.shadow import in_shadow

        object.__setattr__(staging.handler, "shadow_fraction", 0.5)
        names = [f"file-{n}.csv" for n in range(20)]
        publish(queue, *(dropped(bucket, name, survey(1)) for name in names))

        for _ in names:
            staging.handle()

        compared = [task.event.name for task in staging.shadows.tasks]
        assert sorted(compared) == sorted(name for name in names if in_shadow(name, 0.5))
        assert 0 < len(compared) < 20
        wait_for(lambda: len(queue) == 0)


def test_an_event_of_this_bucket_from_a_real_notification_is_scored(worker, bucket, queue):
    info = put(bucket, "flights of May.csv", survey(2))
    event = ObjectEvent("bucket", info.name, Generation(info.generation), "2024-05-28T12:31:52.345678Z")
    message = event.to_message()
    queue.publish([Message(b"", {**message.attributes, "payloadFormat": "NONE", "notificationConfig": "projects/_/x"})])

    worker.handle()

    assert receipt_of(bucket, Key(info.name, event.generation)).source.size is None
