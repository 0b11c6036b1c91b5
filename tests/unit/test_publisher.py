"""The reconciler: passes over a bucket, looks at changed files, and the program around them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from deploy.waiting import SECONDS, wait_for
from edge import metrics
from ledger.commit import bring_to_receipt, claim_outcome, read_receipt
from ledger.names import CLAIMS, FAILURES, RECEIPTS, Key
from ledger.receipt import Outcome, Source, Status
from publisher import publish
from publisher.loop import PublisherLoop
from publisher.publish import REST, STEP, Pass, Reconciler
from publisher.settle import Recent
from tests.memory import Clock, MemoryBucket, MemoryQueue
from transport.bucket import BucketError, ObjectInfo, put
from transport.buckets.folder.bucket import FolderBucket
from transport.event import Generation, Message, ObjectEvent
from transport.queue import QueueError, QueueMissing
from transport.queues.sqlite.queue import LocalQueue


class Place:
    """A bucket, a queue and a clock, with as many publishers as a test wants."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.bucket = MemoryBucket(clock=self.clock)
        self.queue = MemoryQueue(clock=self.clock)

    def publisher(self, *, prefix: str = "", settle: float = 0.0, recent: Recent | None = None) -> Reconciler:
        return Reconciler(
            self.bucket,
            self.queue,
            self.queue.dead_letters,
            prefix=prefix,
            settle=settle,
            recent=recent,
            now=self.clock,
            ticks=self.clock,
        )

    def drop(self, name: str, content: bytes = b"a,b\n1,2\n") -> ObjectInfo:
        return put(self.bucket, name, content)

    @property
    def published(self) -> list[str]:
        return [message.attributes["objectId"] for message in self.queue.messages]

    def work(self) -> tuple[int, int]:
        """A worker that rejects every file: how many deliveries it saw, and how many receipts it wrote."""
        seen = written = 0
        while deliveries := self.queue.pull(10, 0):
            for delivery in deliveries:
                event = ObjectEvent.from_message(delivery.message)
                outcome = rejected(self.bucket, event.name, event.generation)
                written += bring_to_receipt(
                    self.bucket, outcome.key, lambda made=outcome: claim_outcome(self.bucket, made)
                )[1]
                seen += 1
                delivery.ack()
        return seen, written


def rejected(bucket: MemoryBucket, name: str, generation: Generation) -> Outcome:
    return Outcome(Status.REJECTED, Source(bucket.name, name, generation.content, generation.rescore))


@pytest.fixture
def place() -> Place:
    return Place()


def test_what_has_no_receipt_is_published_as_the_bucket_itself_would(place: Place) -> None:
    # given two inputs, and things that are none
    place.clock.now = 1_700_000_000.25
    flights = place.drop("flights.csv", b"12345")
    place.drop("Ümläut #1?%.CSV.GZ")
    for name in ("notes.txt", ".hidden.csv", "half.csv.part", "deeper/a.csv", "output/pred_flights.csv"):
        place.drop(name)

    # when one pass is made
    done = place.publisher().full_pass()

    # then both are in the queue, in the form of a bucket's notification
    assert (done.inputs, done.published, done.errors) == (2, 2, 0)
    first, second = place.queue.messages
    assert dict(first.attributes) == {
        "eventType": "OBJECT_FINALIZE",
        "payloadFormat": "JSON_API_V1",
        "bucketId": "bucket",
        "objectId": "flights.csv",
        "objectGeneration": str(flights.generation),
        "eventTime": "2023-11-14T22:13:20.250Z",
        "source": "poller",
    }
    assert json.loads(first.data)["size"] == "5"
    assert ObjectEvent.from_message(second).name == "Ümläut #1?%.CSV.GZ"


def test_a_file_with_a_receipt_is_not_published_and_a_replaced_one_is(place: Place) -> None:
    # given two files that were published and worked on
    place.drop("a.csv")
    place.drop("b.csv")
    publisher = place.publisher()
    publisher.full_pass()
    assert place.work() == (2, 2)

    # when another publisher starts late, and one file is replaced
    replaced = place.drop("b.csv", b"new")
    for again in (place.publisher(), publisher):
        done = again.full_pass()
        assert (done.inputs, done.answered, done.published) == (2, 1, 1)

    # then only the new content is published
    assert {message.attributes["objectGeneration"] for message in place.queue.messages} == {str(replaced.generation)}


def test_two_publishers_at_once_do_no_harm(place: Place) -> None:
    # given two publishers, of which each publishes everything
    for number in range(50):
        place.drop(f"{number}.csv")
    for publisher in (place.publisher(), place.publisher()):
        assert publisher.full_pass().published == 50

    # when a worker has seen all messages
    assert place.work() == (100, 50)

    # then there is one receipt per file, and nothing more to do
    assert len(list(place.bucket.objects(RECEIPTS))) == 50
    assert place.publisher().full_pass().published == 0


def test_what_was_published_is_published_again_only_after_an_hour(place: Place) -> None:
    # given a published file whose message is lost
    place.drop("a.csv")
    publisher = place.publisher()
    publisher.full_pass()
    place.queue.pull(1, 0)[0].ack()

    # then passes leave it alone for an hour
    place.clock.advance(3_599)
    done = publisher.full_pass()
    assert (done.published, done.recent) == (0, 1)

    # and then publish it again
    place.clock.advance(1)
    assert publisher.full_pass().published == 1


def test_what_was_lost_with_its_queue_is_published_again_at_once(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    # given a published file whose queue was deleted
    place.drop("a.csv")
    publisher = place.publisher()
    publisher.full_pass()
    place.queue.pull(1, 0)[0].ack()

    def missing() -> None:
        raise QueueMissing("flights does not exist; `python -m publisher provision` makes it")

    # when a pass finds it missing
    with monkeypatch.context() as gone:
        gone.setattr(place.queue, "verify", missing)
        assert publisher.full_pass().errors == 1

    # then the next one publishes the file again, and those after it leave it alone
    assert [publisher.full_pass().published for _ in range(3)] == [1, 0, 0]
    assert place.published == ["a.csv"]


def test_a_topic_without_its_subscription_gets_nothing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    # given a queue of which only the topic was made so far: what is published to it reaches nobody, and raises nothing
    place.drop("a.csv")
    publisher = place.publisher()

    def missing() -> None:
        raise QueueMissing("flights-workers does not exist; `python -m publisher provision` makes it")

    # when a pass is made, and a changed file is looked at
    with monkeypatch.context() as gone:
        gone.setattr(place.queue, "verify", missing)
        assert publisher.full_pass().errors == 1
        assert publisher.look(["a.csv"]) == 0
    assert place.published == []

    # then the file is published once there is a subscription
    assert [publisher.full_pass().published for _ in range(3)] == [1, 0, 0]
    assert place.published == ["a.csv"]


def test_a_publisher_that_was_killed_forgets_nothing(place: Place) -> None:
    # given 30 files, of which a worker has answered the first ten, and a publisher that died with all it knew
    for number in range(10):
        place.drop(f"early-{number}.csv")
    place.publisher().full_pass()
    place.work()
    for number in range(20):
        place.drop(f"late-{number:02}.csv")

    # when another starts
    done = place.publisher().full_pass()

    # then exactly the others are published
    assert done.answered == 10
    assert place.published == [f"late-{number:02}.csv" for number in range(20)]


def test_a_growing_file_is_left_alone(place: Place) -> None:
    # given a publisher that waits for a second, and a file that grows
    publisher = place.publisher(settle=1.0)
    for size in range(4):
        place.drop("a.csv", b"x" * size)
        assert publisher.look(["a.csv"]) == 0
        assert publisher.full_pass().settling == 1
        place.clock.advance(0.75)

    # when it has stood still for a second
    place.clock.advance(0.25)
    assert publisher.settling.take_due(place.clock()) == ["a.csv"]

    # then it is published, once
    assert publisher.look(["a.csv"]) == 1
    assert publisher.look(["a.csv"]) == 0
    assert publisher.full_pass().published == 0
    [message] = place.queue.messages
    assert message.attributes["source"] == "watch"
    assert json.loads(message.data)["size"] == "3"


def test_a_look_at_names_publishes_those_alone_and_lists_nothing(place: Place) -> None:
    # given an answered file, a new one, and one that nobody speaks of
    place.drop("answered.csv")
    place.publisher().full_pass()
    place.work()
    place.drop("new.csv")
    place.drop("other.csv")
    publisher = place.publisher()
    calls: list[str] = []
    place.bucket.hook = lambda operation, name: calls.append(operation)

    # when told of these names
    assert publisher.look(["answered.csv", "gone.csv", "new.csv", "notes.txt", "output/pred_new.csv"]) == 1

    # then only the new one is published, and no listing was made
    assert place.published == ["new.csv"]
    assert set(calls) == {"stat"}


def test_inputs_below_a_prefix_keep_it_in_their_names(place: Place) -> None:
    # given files at the root and below two prefixes
    for name in ("a.csv", "incoming/a.csv", "incoming/b.csv", "incoming/deeper/a.csv", "other/a.csv"):
        place.drop(name)

    # when a publisher with a prefix, and a worker, have run
    publisher = place.publisher(prefix="incoming/")
    assert publisher.full_pass().published == 2
    assert place.published == ["incoming/a.csv", "incoming/b.csv"]
    place.work()

    # then it finds their receipts where they lie
    assert publisher.look(["incoming/a.csv", "a.csv"]) == 0
    assert place.publisher(prefix="incoming/").full_pass().answered == 2
    assert place.publisher().full_pass().published == 1


def test_what_looks_like_an_input_and_is_none_is_told_once_with_the_reason(place: Place) -> None:
    # given files that somebody may have meant to be scored, and some that nobody has
    for name in (
        "a\nb.csv",
        "a.csv.zip",
        "new/a.csv",
        "x" * 1000 + ".csv",
        "notes.txt",
        "labels/a.csv",
        "output/a.csv",
    ):
        place.drop(name)
    place.drop("good.csv")
    publisher = place.publisher()

    # when two passes are made, and a look at one of them
    with capture_logs() as logs:
        done = publisher.full_pass()
        assert publisher.full_pass().published == 0
        assert publisher.look(["a.csv.zip"]) == 0

    # then each was said once, and counts neither as an input nor as one without a receipt
    told = {entry["file"]: entry["reason"] for entry in logs if entry["log_level"] == "info" and "reason" in entry}
    assert set(told) == {"a\nb.csv", "a.csv.zip", "new/a.csv", "x" * 1000 + ".csv"}
    assert sum("reason" in entry for entry in logs) == len(told)
    assert "control character" in told["a\nb.csv"]
    assert "folder of its own" in told["new/a.csv"]
    assert "more than 947" in told["x" * 1000 + ".csv"]
    assert (done.inputs, done.published, done.not_inputs) == (1, 1, 4)
    assert metrics.UNANSWERED._value.get() == 1


def test_links_and_names_that_are_no_text_are_told_once(tmp_path: Path) -> None:
    # given them in a folder, and below it
    bucket = FolderBucket(str(tmp_path / "bucket"))
    put(bucket, "deep/a.csv", b"")
    (tmp_path / "bucket" / "link.csv").symlink_to("deep/a.csv")
    (tmp_path / "bucket" / "link").symlink_to("deep")
    Path(os.fsdecode(os.fsencode(bucket.url) + b"/M\xf6ller.csv")).touch()
    queue = MemoryQueue()
    publisher = Reconciler(bucket, queue, queue.dead_letters, settle=0.0)

    # when two passes are made
    with capture_logs() as logs:
        assert publisher.full_pass().not_inputs == 3
        publisher.full_pass()

    # then each was said once
    said = [entry for entry in logs if entry["event"] == "not an input" and "reason" in entry]
    told = {entry["file"]: entry["reason"] for entry in said}
    assert set(told) == {"link.csv", "M\\xf6ller.csv", "deep/a.csv"}
    assert "links are not followed" in told["link.csv"]
    assert "not valid UTF-8" in told["M\\xf6ller.csv"]
    assert [entry["log_level"] for entry in said] == ["info"] * 3


def test_folders_below_are_read_the_less_often_the_more_is_in_them(place: Place) -> None:
    # given many objects in a folder of their own
    for number in range(2 * STEP):
        place.drop(f"archive/{number}.csv")
    place.drop("a.csv")
    publisher = place.publisher()

    # when passes are made, then the first reads them, and pauses for others in between
    first = Pass()
    assert sum(1 for _ in publisher.steps(first)) >= 2
    assert (first.not_inputs, first.published) == (2 * STEP, 1)

    # and the next ones leave them alone for a while
    assert publisher.full_pass().not_inputs == 0
    place.clock.advance(2 * STEP * REST)
    assert publisher.full_pass().not_inputs == 2 * STEP


def test_of_more_than_can_be_remembered_it_is_said_that_there_are_more(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "REMEMBERED", 3)
    for number in range(5):
        place.drop(f"{number}.csv.zip")
    publisher = place.publisher()

    with capture_logs() as logs:
        assert publisher.full_pass().not_inputs == publisher.full_pass().not_inputs == 5

    assert [entry["file"] for entry in logs if entry["event"] == "not an input"] == [f"{n}.csv.zip" for n in range(3)]
    [more] = [entry for entry in logs if entry["event"].startswith("not an input: more")]
    assert more["log_level"] == "info"


def test_files_wait_in_the_bucket_while_too_many_are_unanswered(place: Place) -> None:
    # given room for three unanswered files
    for number in range(5):
        place.drop(f"{number}.csv")
    publisher = place.publisher(recent=Recent(limit=3))

    # then three are published and two are held back
    done = publisher.full_pass()
    assert (done.published, done.held_back) == (3, 2)
    assert publisher.full_pass().published == 0

    # and once the first are answered, so are these
    place.work()
    assert publisher.full_pass().published == 2
    assert place.published == ["3.csv", "4.csv"]


def test_an_error_ends_its_own_step_and_the_next_pass_makes_up_for_it(place: Place) -> None:
    # given a bucket whose inputs cannot be listed, with a note left behind whose receipt stands
    file = place.drop("a.csv")
    key = Key("old.csv", Generation(1))
    put(place.bucket, key.receipt, rejected(place.bucket, "old.csv", Generation(1)).to_json().encode())
    put(place.bucket, key.failure, b"{}")

    def fail(operation: str, name: str) -> None:
        if (operation, name) == ("objects", ""):
            raise BucketError("the network is down; look at the router")

    place.bucket.hook = fail
    publisher = place.publisher()

    # when a pass is made
    with capture_logs() as logs:
        done = publisher.full_pass()

    # then it says so, and the other steps were made
    assert (done.errors, done.tidied) == (1, 1)
    assert "the network is down; look at the router" in [entry.get("error") for entry in logs]

    # and the next pass publishes
    place.bucket.hook = None
    assert publisher.full_pass().published == 1
    assert place.queue.messages[0].attributes["objectGeneration"] == str(file.generation)


def test_the_backlog_is_counted_though_a_dead_letter_cannot_be_recorded(place: Place) -> None:
    # given a dead letter that no receipt can be written for, and an input that was published two hours ago
    info = place.drop("a.csv")
    publisher = place.publisher()
    publisher.full_pass()
    dead = ObjectEvent("bucket", "b.csv", Generation(1)).to_message()
    place.queue.dead_letters.publish([dead])
    place.clock.advance(7_200)
    metrics.UNANSWERED.set(0)
    metrics.UNANSWERED_OLDEST.set(0)

    def fail(operation: str, name: str) -> None:
        if operation == "commit" and "b.csv" in name:
            raise BucketError("the network is down")

    # when a pass is made
    place.bucket.hook = fail
    done = publisher.full_pass()

    # then the alert BacklogOld has what it needs
    assert done.errors == 1
    assert metrics.UNANSWERED._value.get() == 1
    assert metrics.UNANSWERED_OLDEST._value.get() == place.clock() - info.created


def test_what_a_failing_queue_did_not_take_is_published_in_the_next_pass(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a queue that takes nothing
    place.drop("a.csv")
    publisher = place.publisher()

    def refuse(_: Iterable[Message]) -> int:
        raise QueueError("the disk is full; free some space")

    with monkeypatch.context() as broken:
        broken.setattr(place.queue, "publish", refuse)
        assert publisher.full_pass().errors == 1
        assert publisher.look(["a.csv"]) == 0

    # when it takes messages again
    assert publisher.full_pass().published == 1


def test_claims_and_notes_are_removed_when_their_receipt_stands_and_only_then(place: Place) -> None:
    # given a claim and a note beside a receipt, and both without one
    for name, answered in (("done.csv", True), ("deep/er/done.csv", True), ("running.csv", False)):
        key = Key(name, Generation(7, 1))
        outcome = rejected(place.bucket, name, key.generation)
        claim_outcome(place.bucket, outcome)
        put(place.bucket, key.failure, b'{"error": "lost its lease"}')
        if answered:
            put(place.bucket, key.receipt, outcome.to_json().encode())

    # when a pass is made
    assert place.publisher().full_pass().tidied == 4

    # then the running one's are left
    running = Key("running.csv", Generation(7, 1))
    assert [info.name for info in place.bucket.objects(CLAIMS)] == [running.claim]
    assert [info.name for info in place.bucket.objects(FAILURES)] == [running.failure]


def test_a_claim_that_nobody_follows_is_brought_to_its_receipt(place: Place) -> None:
    # given a claim whose worker died and whose message was lost, and an input that was replaced since
    key = Key("a.csv", Generation(1))
    claim_outcome(place.bucket, rejected(place.bucket, key.name, key.generation))
    publisher = place.publisher()
    publisher.full_pass()
    assert read_receipt(place.bucket, key) is None

    # when an hour has passed
    place.clock.advance(3_601)
    assert publisher.full_pass().tidied == 1

    # then the receipt says what the claim said
    receipt = read_receipt(place.bucket, key)
    assert receipt is not None
    assert receipt.status is Status.REJECTED
    assert list(place.bucket.objects(CLAIMS)) == []


def test_the_loop_makes_a_pass_per_interval_and_looks_when_something_is_due(place: Place) -> None:
    # given a loop of five seconds
    loop = PublisherLoop(place.publisher(settle=1.0), 5.0, ticks=place.clock)
    loop.turn()

    # when a file comes just after a pass, and the loop is told
    place.clock.advance(0.5)
    place.drop("told.csv")
    loop.changed("told.csv")
    loop.turn()
    assert place.published == []
    place.drop("untold.csv")

    # then that file is published when it has settled, without a pass
    place.clock.advance(1.0)
    loop.turn()
    assert place.published == ["told.csv"]

    # and the other one by the next pass
    place.clock.advance(3.5)
    loop.turn()
    assert place.published == ["told.csv", "untold.csv"]


def test_a_changed_file_does_not_wait_for_the_end_of_a_long_pass(place: Place) -> None:
    # given 3,000 answered files, and a loop that is told of a new one while it compares them
    for number in range(3_000):
        file = place.drop(f"old-{number:04}.csv")
        put(place.bucket, Key(file.name, Generation(file.generation)).receipt, b"")
    loop = PublisherLoop(place.publisher(), 5.0, ticks=place.clock)
    steps: list[str] = []

    def tell(operation: str, name: str) -> None:
        steps.append(f"{operation} {name}")
        if steps[-1] == f"objects {RECEIPTS}":  # the listing of inputs has begun
            place.drop("new.csv")
            loop.changed("new.csv")

    place.bucket.hook = tell

    # when it makes its pass
    loop.turn()

    # then the new file was looked at and published before the pass came to its last step
    assert steps.index("stat new.csv") < steps.index(f"objects {CLAIMS}")
    assert place.published == ["new.csv"]


def test_one_pass_waits_once_for_what_settles(place: Place) -> None:
    # given a file dropped this moment and one that is still growing, on a clock that moves as it is read
    place.drop("a.csv")
    place.drop("growing.csv")

    def ticks() -> float:
        place.clock.advance(0.125)
        return place.clock.now

    publisher = Reconciler(
        place.bucket, place.queue, place.queue.dead_letters, settle=1.0, now=place.clock, ticks=ticks
    )

    def grow(operation: str, name: str) -> None:
        if operation == "stat":
            place.drop("growing.csv", b"more")

    place.bucket.hook = grow

    # when one pass is made
    done = PublisherLoop(publisher, 5.0, ticks=ticks).once()

    # then the first is published and the other left alone
    assert place.published == ["a.csv"]
    assert (done.published, done.settling) == (1, 1)


# The program itself, on a folder and a local queue.


def start(folder: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "publisher", "--bucket", "bucket", "--queue", "queue.db", *options],
        cwd=folder,
        env={"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": ""},
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_program_publishes_until_a_signal_and_ends_with_0(tmp_path: Path, number: signal.Signals) -> None:
    # given a running publisher that would make its next pass in an hour
    (tmp_path / "bucket").mkdir()
    (tmp_path / "bucket" / "early.csv").write_text("a\n1\n")
    process = start(tmp_path, "--interval", "1h", "--settle", "0")
    try:
        assert process.stderr is not None
        assert "publisher started" in process.stderr.readline()
        queue = LocalQueue(str(tmp_path / "queue.db"))
        wait_for(lambda: queue.backlog().waiting == 1)

        # when a file is dropped (again until the watch stands), the folder's events wake it
        def woken() -> bool:
            (tmp_path / "bucket" / "late.csv").write_text("a\n1\n")
            return queue.backlog().waiting != 1

        wait_for(woken)
        queue.close()
    finally:
        # then a signal ends it at once
        process.send_signal(number)
        _, rest = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, rest
    assert "publisher stopped" in rest


def test_once_publishes_what_settles_and_ends_with_0(tmp_path: Path) -> None:
    # given a file that was dropped this moment
    (tmp_path / "bucket").mkdir()
    (tmp_path / "bucket" / "a.csv").write_text("a\n1\n")

    # when one pass is made
    process = start(tmp_path, "--once", "--settle", "200ms")
    _, log = process.communicate(timeout=SECONDS)

    # then it is in the queue
    assert process.returncode == 0, log
    queue = LocalQueue(str(tmp_path / "queue.db"))
    assert queue.backlog().waiting == 1
    queue.close()


def test_a_bucket_that_may_not_be_used_ends_it_with_2_and_says_why(tmp_path: Path) -> None:
    # given a file where the folder should be
    (tmp_path / "bucket").write_text("no folder")

    # when it starts
    process = start(tmp_path, "--once")
    _, said = process.communicate(timeout=SECONDS)

    # then it ends with 2, and names the place
    assert process.returncode == 2
    assert str(tmp_path / "bucket") in said
    assert "Traceback" not in said
