"""How a bucket and its queue stand."""

from __future__ import annotations

import io
import json
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from edge.command import main
from ledger.commit import claim_outcome
from ledger.names import Key
from ledger.receipt import ModelUsed, Outcome, RowError, Source, Status
from publisher.__main__ import ABOUT, COMMANDS
from publisher.commands import rescore, show
from publisher.commands.show import status_screen
from publisher.status import FIRST, AliasesInForce, overview
from tests.memory import Clock, MemoryBucket, MemoryQueue
from transport.bucket import Bucket, get, put
from transport.buckets.folder.bucket import FolderBucket
from transport.event import Generation, Message
from transport.queue import Policy
from transport.queues.sqlite.queue import LocalQueue


def answered(bucket: Bucket, name: str, status: Status, *, version: str = "", finished: str = "", rows: int = 0) -> Key:
    """An input and its receipt."""
    info = put(bucket, name, b"a\n1\n")
    outcome = Outcome(
        status,
        Source(bucket.name, name, info.generation),
        ModelUsed("airline-satisfaction", version, "run") if version else None,
        rows=rows,
        rejected_rows=rows // 10,
        timings={"read": 0.25, "score": 0.5},
        finished=finished,
    )
    put(bucket, outcome.key.receipt, outcome.to_json().encode())
    return outcome.key


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def bucket(clock: Clock) -> MemoryBucket:
    """Two files scored by version 3, one by version 4, one rejected; one new, one being recorded; no input besides."""
    bucket = MemoryBucket(clock=clock)
    for name, status, version in (
        ("a.csv", Status.SCORED, "3"),
        ("b.csv", Status.SCORED, "3"),
        ("c.csv", Status.REJECTED, ""),
        ("d.csv", Status.SCORED, "4"),
    ):
        clock.advance(1)
        answered(bucket, name, status, version=version, finished=f"2026-03-0{clock.now % 10:.0f}T00:00:00Z", rows=20)
    put(bucket, "new.csv", b"x")
    put(bucket, "notes.txt", b"x")
    claim_outcome(bucket, Outcome(Status.REJECTED, Source("bucket", "new.csv", 99)))
    put(bucket, Key("gone.csv", Generation(1)).receipt, b"of another program")
    return bucket


def test_everything_is_counted_and_the_newest_are_looked_at(bucket: MemoryBucket, clock: Clock) -> None:
    # given a queue with two messages waiting, one in a worker's hands and one dead
    queue = MemoryQueue(Policy(), clock=clock)
    queue.publish(Message(b"") for _ in range(3))
    queue.pull(1, 0)
    queue.dead_letters.publish([Message(b"")])
    clock.advance(7)

    # when one looks
    seen = overview(bucket, queue, newest=2)

    # then all is counted
    assert (seen.backlog.waiting, seen.backlog.leased, seen.backlog.dead) == (2, 1, 1)
    assert seen.backlog.oldest_waiting_seconds == 7
    assert (seen.inputs, seen.unanswered, seen.claimed, seen.receipts) == (5, 1, 1, 5)
    assert seen.by_status == {"scored": 3, "rejected": 1, "unreadable": 1}
    assert seen.looked_at == 5

    # and the newest come first
    assert [outcome.source.name for outcome in seen.newest] == ["d.csv", "c.csv"]
    assert seen.models == (
        AliasesInForce("airline-satisfaction", "4", "2026-03-04T00:00:00Z"),
        AliasesInForce("airline-satisfaction", "3", "2026-03-02T00:00:00Z"),
    )


def test_of_many_receipts_only_the_newest_are_read(bucket: MemoryBucket, clock: Clock) -> None:
    # given a limit of two reads
    reads: list[str] = []
    bucket.hook = lambda operation, name: reads.append(name) if operation == "read" else None

    # when one looks
    seen = overview(bucket, MemoryQueue(clock=clock), newest=0, read=2)

    # then two were read, and all counted
    assert len(reads) == 2
    assert (seen.receipts, seen.looked_at) == (5, 2)
    assert seen.newest == ()


def test_the_screen_says_what_is_counted_among_what(bucket: MemoryBucket, clock: Clock) -> None:
    queue = MemoryQueue(clock=clock)

    def screen(read: int) -> str:
        console = Console(width=160, file=io.StringIO(), record=True)
        console.print(status_screen(overview(bucket, queue, newest=1, read=read)))
        return console.export_text()

    whole = screen(1000)
    for part in (
        "5 in the bucket, 1 of them without a receipt",
        "0 with workers, 1 scored and being recorded",
        "3 scored, 1 rejected, 1 unreadable (in all)",
        "airline-satisfaction version 4",
        "0.75",
    ):
        assert part in whole
    assert "(among the newest 2)" in screen(2)


def test_what_looks_like_an_input_and_is_none_is_shown_with_its_reason(tmp_path: Path, clock: Clock) -> None:
    # given a bucket whose files are no inputs, but for one
    bucket = FolderBucket(str(tmp_path / "bucket"))
    answered(bucket, "good.csv", Status.SCORED)
    for name in ("new/a.csv", "b.csv.zip", "x" * 220 + ".csv", "notes.txt", "labels/l.csv", "a\nb.csv"):
        put(bucket, name, b"x")
    (tmp_path / "bucket" / "link.csv").symlink_to("good.csv")
    Path(os.fsdecode(os.fsencode(bucket.url) + b"/M\xf6ller.csv")).touch()

    # when one looks
    seen = overview(bucket, MemoryQueue(clock=clock))

    # then they are counted and named, and none of them waits for a receipt
    assert (seen.inputs, seen.unanswered, seen.not_inputs) == (1, 0, 6)
    reasons = {other.name: other.reason for other in seen.first_not_inputs}
    assert set(reasons) == {"new/a.csv", "b.csv.zip", "x" * 220 + ".csv", "a\nb.csv", "link.csv", "M\\xf6ller.csv"}
    assert "folder of its own" in reasons["new/a.csv"]
    assert "does not end in .csv, .csv.gz or .parquet" in reasons["b.csv.zip"]
    assert "of more than 210" in reasons["x" * 220 + ".csv"]
    assert "links are not followed" in reasons["link.csv"]
    assert [other["name"] for other in seen.to_dict()["first_not_inputs"]] == list(reasons)

    # and the screen has the first
    console = Console(width=200, file=io.StringIO(), record=True)
    console.print(status_screen(seen))
    text = console.export_text()
    assert re.search(r"not inputs +6 *\n", text)
    assert "and 1 more" in text


def test_of_very_many_that_are_no_inputs_the_first_are_named(clock: Clock) -> None:
    bucket = MemoryBucket(clock=clock)
    for number in range(100):
        put(bucket, f"old/{number:03}.csv", b"x")

    seen = overview(bucket, MemoryQueue(clock=clock))

    assert seen.not_inputs == 100
    assert [other.name for other in seen.first_not_inputs] == [f"old/{number:03}.csv" for number in range(FIRST)]


def test_unknown_texts_are_added_up_by_column(clock: Clock) -> None:
    # given receipts with unknown texts, one without any, and two whose versions do not know what they were shown
    bucket = MemoryBucket(clock=clock)
    told: tuple[dict[str, int] | None, ...] = ({"Class": 2, "Type": 1}, {"Type": 1_500}, {}, None, None)
    for number, unknown in enumerate(told):
        key = answered(bucket, f"{number}.csv", Status.SCORED, version="1", rows=2_000)
        outcome = Outcome.from_json(get(bucket, key.receipt))
        put(bucket, key.receipt, replace(outcome, unknown=unknown).to_json().encode())
    answered(bucket, "bad.csv", Status.REJECTED)

    # when one looks
    seen = overview(bucket, MemoryQueue(clock=clock))

    # then they are there
    assert dict(seen.unknown) == {"Type": 1_501, "Class": 2}
    assert seen.unknown_untold == 2
    console = Console(width=160, file=io.StringIO(), record=True)
    console.print(status_screen(seen))
    assert "1,501 in Type, 2 in Class (rows, in all); not told by the versions of 2 files" in console.export_text()


def test_names_are_shown_as_they_are(clock: Clock) -> None:
    # given a name that rich would take for markup
    bucket = MemoryBucket(clock=clock)
    answered(bucket, "[bold]x[red].csv", Status.SCORED)
    console = Console(width=160, file=io.StringIO(), record=True)
    console.print(status_screen(overview(bucket, MemoryQueue(clock=clock))))
    assert "[bold]x[red].csv" in console.export_text()


def test_the_command_prints_tables_json_or_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(show, "start_log", lambda *_: None)
    places = ["--bucket", str(tmp_path / "bucket"), "--queue", str(tmp_path / "queue.db")]

    # given an empty place
    (tmp_path / "bucket").mkdir()
    LocalQueue(places[3]).close()
    assert main("publisher", ABOUT, COMMANDS, arguments=["status", *places]) == 0
    assert "nothing yet" in capsys.readouterr().out

    # given a scored file
    answered(FolderBucket(places[1]), "a.csv", Status.SCORED, version="1")
    assert main("publisher", ABOUT, COMMANDS, arguments=["status", *places, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["by_status"] == {"scored": 1}
    assert found["newest"][0]["source"]["name"] == "a.csv"

    # given a file where the queue should be
    (tmp_path / "queue.db").write_text("this is no database, but long enough to look like something" * 50)
    (tmp_path / "queue.db-wal").unlink(missing_ok=True)
    assert main("publisher", ABOUT, COMMANDS, arguments=["status", *places]) == 2
    assert "queue.db" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["status"], ["dead-letters"], ["rescore", "a.csv"]])
def test_what_only_looks_makes_neither_bucket_nor_queue(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for program in (show, rescore):
        monkeypatch.setattr(program, "start_log", lambda *_: None)
    places = ["--bucket", str(tmp_path / "buckett"), "--queue", str(tmp_path / "queue.db")]

    assert main("publisher", ABOUT, COMMANDS, arguments=[*command, *places]) == 2
    assert f"there is no folder {tmp_path / 'buckett'}: set UNDERSTUDY_BUCKET" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []

    if command[0] == "rescore":  # it publishes: into a new queue where the old one is lost
        return
    (tmp_path / "buckett").mkdir()
    assert main("publisher", ABOUT, COMMANDS, arguments=[*command, *places]) == 2
    assert f"there is no queue {tmp_path / 'queue.db'}: set UNDERSTUDY_QUEUE" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [tmp_path / "buckett"]


def test_what_was_dead_lettered_is_named_with_its_reason(bucket: MemoryBucket, clock: Clock) -> None:
    # given seven files that were given up, one of them with orders to the terminal in its reason
    for number in range(7):
        info = put(bucket, f"dead-{number}.csv", b"x")
        errors = (RowError(f"its mode is 000\x1b[2J, file {number}"),)
        outcome = Outcome(
            Status.DEAD_LETTERED, Source(bucket.name, info.name, info.generation), attempt=5, errors=errors
        )
        put(bucket, outcome.key.receipt, outcome.to_json().encode())

    # when one looks
    console = Console(width=160, file=io.StringIO(), record=True)
    console.print(status_screen(overview(bucket, MemoryQueue(clock=clock))))
    shown = console.export_text()

    # then the newest are named with their reason, and where to see the others
    assert shown.count(": its mode is 000\\x1b[2J, file") == 5
    assert "and 2 more: python -m publisher dead-letters" in shown
    assert "\x1b" not in shown
