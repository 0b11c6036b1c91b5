"""Dead letters become receipts, and what names no input is put on record."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from ledger.commit import claim_outcome, output_generation, read_receipt
from ledger.names import UNUSABLE, Key
from ledger.receipt import ModelUsed, Outcome, Source, Status
from publisher.commands import show
from publisher.commands.dead_lettered import dead_lettered, unusable_records
from publisher.commands.show import ShowDeadLetters
from publisher.dead_letters import ATTEMPTS, drain
from publisher.publish import Reconciler
from tests.memory import Clock, MemoryBucket, MemoryQueue
from transport.bucket import BucketError, NameTooLong, get, put
from transport.buckets.folder.bucket import FolderBucket
from transport.event import Generation, Message, ObjectEvent
from transport.queue import Policy
from transport.queues.sqlite.queue import LocalQueue

NOW = 1_700_000_000.0
POISON = Key("poison.csv", Generation(7))


@pytest.fixture
def bucket() -> MemoryBucket:
    return MemoryBucket()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(clock: Clock) -> MemoryQueue:
    return MemoryQueue(Policy(max_delivery_attempts=5), clock=clock)


def event(key: Key = POISON, bucket: str = "bucket") -> ObjectEvent:
    return ObjectEvent(bucket, key.name, key.generation, size=3)


def dead(queue: MemoryQueue, *messages: Message, attempts: int = 5) -> MemoryQueue:
    """The dead letters, after so many deliveries of these messages have failed."""
    queue.dead_letters.publish(
        Message(message.data, {**message.attributes, ATTEMPTS: str(attempts)}) for message in messages
    )
    return queue.dead_letters


def test_a_file_that_was_delivered_in_vain_gets_a_receipt_that_says_why(
    bucket: MemoryBucket, queue: MemoryQueue, clock: Clock
) -> None:
    # given a message that every worker gave back, the last one with a note
    queue.publish([event().to_message()])
    for _ in range(5):
        queue.pull(1, 0)[0].nack()
        clock.advance(100)
    note = {"attempt": 5, "error": "the scoring process was killed (signal 9)", "worker": "w-3", "time": "…"}
    put(bucket, POISON.failure, json.dumps(note).encode())

    # when the dead letters are drained
    drained = drain(bucket, queue.dead_letters, now=NOW)

    # then the receipt has source, attempts and reason, and neither message nor note is left
    assert (drained.receipts, drained.unusable, drained.failed) == (1, 0, 0)
    receipt = read_receipt(bucket, POISON)
    assert receipt is not None
    assert receipt.status is Status.DEAD_LETTERED
    assert receipt.source == Source("bucket", "poison.csv", 7, size=3)
    assert (receipt.attempt, receipt.worker, receipt.finished) == (5, "w-3", "2023-11-14T22:13:20.000Z")
    assert receipt.errors[0].message == "the scoring process was killed (signal 9)"
    assert len(queue.dead_letters) == 0
    assert [info.name for info in bucket.objects("output/")] == [POISON.receipt]


def test_without_a_readable_note_the_receipt_says_that_there_was_none(bucket: MemoryBucket, queue: MemoryQueue) -> None:
    for note in (None, b"\xff no JSON", b"[1]", b'{"attempt": "x"}'):
        key = Key(f"{note!r:.4}.csv", Generation(7))
        if note is not None:
            put(bucket, key.failure, note)

        # when it is drained
        assert drain(bucket, dead(queue, event(key).to_message(), attempts=6), now=NOW).receipts == 1

        # then the attempts are the queue's
        receipt = read_receipt(bucket, key)
        assert receipt is not None
        assert receipt.attempt == 6
        assert "killed, or lost its lease" in receipt.errors[0].message
        assert bucket.stat(key.failure) is None


def test_a_file_that_was_scored_after_all_keeps_its_receipt(bucket: MemoryBucket, queue: MemoryQueue) -> None:
    # given one file with a receipt, and one with a claim: their scorers were slow, not dead
    model = ModelUsed("m", "3", "r")
    done, claimed = Key("done.csv", Generation(1)), Key("claimed.csv", Generation(2))
    outcome = Outcome(Status.SCORED, Source("bucket", done.name, 1), model, rows=2)
    put(bucket, done.receipt, outcome.to_json().encode())
    claim = Outcome(Status.SCORED, Source("bucket", claimed.name, 2), model, rows=1, output=claimed.output)
    claim_outcome(bucket, claim)

    # when their messages turn up among the dead letters
    assert drain(bucket, dead(queue, event(done).to_message(), event(claimed).to_message()), now=NOW).receipts == 2

    # then the first is as it was, and the second was brought to its end
    assert read_receipt(bucket, done) == outcome
    assert read_receipt(bucket, claimed) == claim
    output = bucket.stat(claimed.output)
    assert output is not None
    assert output_generation(output) == claimed.generation
    assert bucket.stat(claimed.claim) is None


def test_a_dead_rescoring_gets_a_receipt_of_its_own(bucket: MemoryBucket, queue: MemoryQueue) -> None:
    again = Key("poison.csv", Generation(7, 1))
    drain(bucket, dead(queue, event().to_message(), event(again).to_message()), now=NOW)
    first, second = read_receipt(bucket, POISON), read_receipt(bucket, again)
    assert first is not None
    assert second is not None
    assert (first.source.rescore, second.source.rescore) == (0, 1)


@pytest.mark.parametrize("number", [1, 2, 2**63 - 1])
def test_a_dead_rescoring_that_stands_on_no_receipt_is_put_on_record(
    bucket: MemoryBucket, queue: MemoryQueue, number: int
) -> None:
    if number > 1:
        drain(bucket, dead(queue, event().to_message()), now=NOW)
    again = Key("poison.csv", Generation(7, number))

    assert drain(bucket, dead(queue, event(again).to_message()), now=NOW).unusable == 1

    assert read_receipt(bucket, again) is None
    [record] = bucket.objects(UNUSABLE)
    assert f"it asks for re-scoring {number} of 'poison.csv'" in json.loads(get(bucket, record.name))["reason"]


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (Message(b"", {}), "eventType"),
        (Message(b"", {"eventType": "OBJECT_DELETE"}), "OBJECT_DELETE"),
        (event(Key("notes.txt", Generation(1))).to_message(), "not an input"),
        (event(Key("output/pred_a.csv", Generation(1))).to_message(), "not an input"),
        (event(Key("deeper/a.csv", Generation(1))).to_message(), "not an input"),
        (event(Key("../../etc/a.csv", Generation(1))).to_message(), "'..'"),
        (event(Key("x" * 1_000 + ".csv", Generation(1))).to_message(), "more than 947"),
        (event(Key("x" * 1_050 + ".csv", Generation(1))).to_message(), "more than 1024"),
        (event(bucket="another").to_message(), "'another'"),
    ],
)
def test_a_message_that_names_no_input_is_put_on_record(
    bucket: MemoryBucket, queue: MemoryQueue, message: Message, reason: str
) -> None:
    # when it is drained
    drained = drain(bucket, dead(queue, message), now=NOW)

    # then it is on record with its attributes and the reason, and gone from the queue
    assert (drained.receipts, drained.unusable) == (0, 1)
    assert len(queue.dead_letters) == 0
    [record] = unusable_records(bucket)
    assert record.record == f"{UNUSABLE}queue-dead-1.json"
    assert reason in record.reason
    with bucket.read(record.record) as stream:
        kept = json.load(stream)
    assert kept["attributes"].items() >= {name: value[:1000] for name, value in message.attributes.items()}.items()


def test_a_record_is_bounded_whatever_the_message_holds(bucket: MemoryBucket, queue: MemoryQueue) -> None:
    # given a megabyte of payload and attributes
    hostile = Message(b"\xff" * 1_000_000, {f"{number}" * 300: "\n" * 1_000 for number in range(100, 400)})
    drain(bucket, dead(queue, hostile), now=NOW)

    # then the record is small, and says how much there was
    [info] = bucket.objects(UNUSABLE)
    assert info.size < 200_000
    with bucket.read(info.name) as stream:
        kept = json.load(stream)
    assert kept["payload_bytes"] == 1_000_000


def test_a_record_of_the_same_number_is_kept_beside_an_earlier_one(bucket: MemoryBucket, clock: Clock) -> None:
    # given a queue that was made again, and so counts from 1 again, and a redelivery
    first, second = Message(b"1", {"eventType": "A"}), Message(b"2", {"eventType": "B"})
    for message in (first, second, second):
        drain(bucket, dead(MemoryQueue(clock=clock), message), now=NOW)

    # then both are on record, once
    assert sorted(record.reason for record in unusable_records(bucket)) == [
        "eventType is 'A', not 'OBJECT_FINALIZE'",
        "eventType is 'B', not 'OBJECT_FINALIZE'",
    ]


def test_one_whose_receipt_can_have_no_name_is_put_on_record_and_holds_up_no_other(
    bucket: MemoryBucket, queue: MemoryQueue
) -> None:
    # given a file system that takes shorter names than most
    def fail(operation: str, name: str) -> None:
        if "long.csv" in name and ".unusable" not in name:
            raise NameTooLong(f"cannot write {name!r}: its file system takes only shorter names")

    bucket.hook = fail
    letters = dead(queue, *(event(Key(f"{name}.csv", Generation(1))).to_message() for name in ("long", "short")))

    # when the dead letters are drained
    drained = drain(bucket, letters, now=NOW)

    # then neither comes again
    assert (drained.receipts, drained.unusable, drained.failed) == (1, 1, 0)
    assert len(letters) == 0
    [record] = unusable_records(bucket)
    assert "takes only shorter names" in record.reason


def test_it_is_acked_only_after_its_receipt_stands(bucket: MemoryBucket, queue: MemoryQueue, clock: Clock) -> None:
    # given a bucket that takes no receipt of one of three files
    letters = dead(queue, *(event(Key(f"{name}.csv", Generation(1))).to_message() for name in "abc"))

    def fail(operation: str, name: str) -> None:
        if operation == "commit" and name == Key("a.csv", Generation(1)).receipt:
            raise BucketError("the network is down")

    # when the dead letters are drained
    bucket.hook = fail
    drained = drain(bucket, letters, now=NOW)

    # then the others have theirs, and that one comes again, and gets it
    assert (drained.receipts, drained.failed, drained.more) == (2, 1, False)
    assert len(letters) == 1
    bucket.hook = None
    clock.advance(60)
    assert drain(bucket, letters, now=NOW).receipts == 1
    assert len(letters) == 0


def test_a_receipt_of_foreign_make_stops_no_other(bucket: MemoryBucket, queue: MemoryQueue) -> None:
    put(bucket, POISON.receipt, b"not a receipt")
    drained = drain(bucket, dead(queue, event().to_message(), event(Key("b.csv", Generation(1))).to_message()), now=NOW)
    assert (drained.receipts, drained.failed) == (1, 1)


def test_a_pass_drains_them_all_before_it_publishes_so_that_nothing_is_published_again(
    bucket: MemoryBucket, queue: MemoryQueue, clock: Clock
) -> None:
    # given 250 files whose messages are dead
    files = [put(bucket, f"{number}.csv", b"x") for number in range(250)]
    messages = [event(Key(file.name, Generation(file.generation))).to_message() for file in files]

    # when a publisher starts
    publisher = Reconciler(bucket, queue, dead(queue, *messages), settle=0.0, now=clock, ticks=clock)
    with capture_logs() as logs:
        done = publisher.full_pass()

    # then all have receipts, nothing was published, and each is said once with what to do
    assert (done.dead_letters, done.answered, done.published) == (250, 250, 0)
    said = [entry for entry in logs if "rescore" in entry["event"]]
    assert len(said) == 250
    assert {entry["log_level"] for entry in said} == {"warning"}


def test_what_was_given_up_is_listed_with_what_became_of_it_since(bucket: MemoryBucket, queue: MemoryQueue) -> None:
    # given two dead files, one of them scored again since, and a good one
    other = Key("other.csv", Generation(1))
    put(bucket, POISON.failure, b'{"attempt": 5, "error": "out of memory", "worker": "w", "time": ""}')
    drain(bucket, dead(queue, event().to_message(), event(other).to_message()), now=NOW)
    for key in (Key(other.name, Generation(1, 1)), Key("good.csv", Generation(1))):
        outcome = Outcome(Status.SCORED, Source("bucket", key.name, 1, key.generation.rescore))
        put(bucket, key.receipt, outcome.to_json().encode())
    put(bucket, Key("foreign.csv", Generation(1)).receipt, b"[]")

    # then both are listed
    first, second = dead_lettered(bucket)
    assert (first.file, first.generation, first.since) == ("other.csv", "1", "scored")
    assert (second.file, second.attempts, second.error, second.since) == ("poison.csv", 5, "out of memory", "")


def test_the_command_shows_them_as_a_table_and_as_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(show, "start_log", lambda *_: None)
    monkeypatch.setenv("COLUMNS", "200")
    folder = FolderBucket(str(tmp_path / "bucket"))
    options = {"bucket": str(tmp_path / "bucket"), "queue": str(tmp_path / "queue.db")}

    # given nothing, it says so
    (tmp_path / "bucket").mkdir(exist_ok=True)
    LocalQueue(options["queue"]).close()
    assert ShowDeadLetters(**options).run() == 0
    assert "Nothing was dead-lettered." in capsys.readouterr().out

    # given a dead file, a message that named none, and one that is not drained yet
    letters = LocalQueue(options["queue"], dead_letters=True)
    letters.publish([event().to_message(), Message(b"", {"eventType": "[red]X"})])
    drain(folder, letters, now=NOW)
    letters.publish([event().to_message()])
    letters.close()

    # then the table names file, reason and remedy
    assert ShowDeadLetters(**options).run() == 0
    table = capsys.readouterr().out
    for part in ("poison.csv", "no worker left a reason", "rescore --dead-lettered", "[red]X", "1 more"):
        assert part in table

    # and JSON has the same
    assert ShowDeadLetters(**options, json=True).run() == 0
    found = json.loads(capsys.readouterr().out)
    assert [entry["file"] for entry in found["dead_lettered"]] == ["poison.csv"]
    assert len(found["unusable"]) == found["waiting"] == 1
