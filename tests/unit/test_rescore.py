"""Scoring again, on purpose."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.command import main
from ledger.names import Key
from ledger.receipt import Outcome, Source, Status
from publisher.__main__ import ABOUT, COMMANDS
from publisher.commands import rescore
from publisher.commands.rescore import UnknownName, find, rescoring_of
from tests.memory import MemoryBucket
from transport.bucket import Bucket, put
from transport.buckets.folder.bucket import FolderBucket
from transport.event import Generation, ObjectEvent
from transport.queue import QueueMissing
from transport.queues.sqlite.queue import LocalQueue


def answer(bucket: Bucket, name: str, status: Status = Status.SCORED, rescore: int = 0) -> Key:
    """Writes the receipt of an input's present content."""
    info = bucket.stat(name)
    assert info is not None
    outcome = Outcome(status, Source(bucket.name, name, info.generation, rescore))
    put(bucket, outcome.key.receipt, outcome.to_json().encode())
    return outcome.key


def test_the_event_is_one_more_than_the_highest_rescoring_of_the_newest_content() -> None:
    # given a file scored, scored again, and replaced by a content that was scored ten times
    bucket = MemoryBucket()
    put(bucket, "a.csv", b"old")
    answer(bucket, "a.csv", rescore=40)
    newest = put(bucket, "a.csv", b"new")
    for number in (0, 2, 9, 10):
        answer(bucket, "a.csv", rescore=number)

    # then the next is the eleventh of that content
    [standing] = find(bucket, ["a.csv"])
    event = rescoring_of(standing, bucket.name)
    assert event is not None
    assert event.generation == Generation(newest.generation, 11)
    assert event.source == "rescore"
    assert ObjectEvent.from_message(event.to_message()).generation == event.generation


def test_a_file_without_a_receipt_is_not_scored_anew() -> None:
    # given a file that was replaced and whose new content has no receipt, beside one of a name like its receipt's
    bucket = MemoryBucket()
    put(bucket, "a.csv", b"old")
    answer(bucket, "a.csv")
    put(bucket, "a.csv@1.csv", b"x")
    answer(bucket, "a.csv@1.csv")
    put(bucket, "a.csv", b"new")

    # then there is no event: it is to be scored anyway
    [standing] = find(bucket, ["a.csv"])
    assert rescoring_of(standing, bucket.name) is None


def test_a_name_that_is_no_input_is_refused_with_the_nearest_that_are() -> None:
    bucket = MemoryBucket()
    for name in ("flights-may.csv", "hotels.csv", "output/pred_flights-may.csv"):
        put(bucket, name, b"x")
    with pytest.raises(UnknownName, match=r"no input 'flight-may\.csv' .* did you mean 'flights-may\.csv'\?"):
        find(bucket, ["flight-may.csv"])
    with pytest.raises(UnknownName, match="nothing has a name like it"):
        find(bucket, ["output/pred_flights-may.csv", "zzz"], prefix="zz")


# The command, on a folder and a local queue.


class Here:
    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.bucket = FolderBucket(str(folder / "bucket"))
        self._queue = str(folder / "queue.db")
        self._capsys = capsys

    def rescore(self, *arguments: str) -> tuple[int, str]:
        """Its exit status, and what it said on stdout and stderr."""
        places = ["--bucket", self.bucket.url, "--queue", self._queue]
        status = main("publisher", ABOUT, COMMANDS, arguments=["rescore", *places, *arguments])
        said = self._capsys.readouterr()
        return status, said.out + said.err

    def published(self) -> list[str]:
        """What is in the queue; takes it out."""
        queue = LocalQueue(self._queue)
        keys = []
        for delivery in queue.pull(100, 0):
            event = ObjectEvent.from_message(delivery.message)
            keys.append(f"{event.name}+{event.generation.rescore}")
            delivery.ack()
        queue.close()
        return sorted(keys)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Here:
    """A scored, a rejected, a dead-lettered and a new file."""
    monkeypatch.setattr(rescore, "start_log", lambda *_: None)
    here = Here(tmp_path, capsys)
    for name, status in (
        ("scored.csv", Status.SCORED),
        ("rejected.csv", Status.REJECTED),
        ("dead.csv", Status.DEAD_LETTERED),
        ("new.csv", None),
    ):
        put(here.bucket, name, b"a\n1\n")
        if status is not None:
            answer(here.bucket, name, status)
    return here


def test_named_files_are_published_and_counted(here: Here) -> None:
    status, said = here.rescore("scored.csv", "dead.csv", "scored.csv")
    assert status == 0
    assert "2 files published, to be scored again" in said
    assert "scored.csv" in said
    assert here.published() == ["dead.csv+1", "scored.csv+1"]


def test_a_queue_that_reaches_nobody_gets_nothing(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    # given a queue of which only the topic was made: it takes messages, and no worker ever gets them
    def missing(_queue: LocalQueue) -> None:
        raise QueueMissing("flights-workers does not exist; `python -m publisher provision` makes it")

    with monkeypatch.context() as gone:
        gone.setattr(LocalQueue, "verify", missing)
        status, said = here.rescore("scored.csv")

    # then it is said, and nothing is published
    assert status == 2
    assert "flights-workers does not exist" in said
    assert here.published() == []


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--dead-lettered"], ["dead.csv+1"]),
        (["--rejected"], ["rejected.csv+1"]),
        (["--rejected", "--dead-lettered"], ["dead.csv+1", "rejected.csv+1"]),
        (["--all"], ["dead.csv+1", "rejected.csv+1", "scored.csv+1"]),
        (["--since", "2001-02-03"], ["dead.csv+1", "rejected.csv+1", "scored.csv+1"]),
        (["--all", "--since", "2999-01-01T00:00:00Z"], []),
        (["scored.csv", "dead.csv", "--dead-lettered"], ["dead.csv+1"]),
        (["new.csv"], []),
        (["--all", "--dry-run"], []),
    ],
)
def test_a_choice_by_options(here: Here, options: list[str], expected: list[str]) -> None:
    status, said = here.rescore(*options)
    assert here.published() == expected
    if "--dry-run" in options:
        assert (status, "3 files would be scored again" in said) == (0, True)
    else:
        assert status == (0 if expected else 1)
        assert expected or "no file fits" in said


def test_the_newest_receipt_decides(here: Here) -> None:
    # given a dead file that was scored again since
    answer(here.bucket, "dead.csv", Status.SCORED, rescore=1)

    # then it is dead no longer, and its next scoring is the second
    assert here.rescore("--dead-lettered")[0] == 1
    assert here.rescore("--all")[0] == 0
    assert here.published() == ["dead.csv+2", "rejected.csv+1", "scored.csv+1"]


def test_names_are_taken_as_they_are(here: Here) -> None:
    # given names that a shell, JSON or an option could be
    names = ["a,b.csv", "[x].csv", 'say "hi".csv', "it's #1?%.csv", "--all.csv", "Ümläut.csv", " b.csv"]
    for name in names:
        put(here.bucket, name, b"x")
        answer(here.bucket, name)
    assert here.rescore("--", *names)[0] == 0
    assert here.published() == sorted(f"{name}+1" for name in names)


def test_it_refuses_and_publishes_nothing_where_it_is_not_clear_what_is_meant(here: Here) -> None:
    # one unknown name among known ones
    status, said = here.rescore("scored.csv", "rejcted.csv")
    assert status == 1
    assert "did you mean 'rejected.csv'" in said

    # no choice at all, an unknown option, no date
    for arguments, part in (
        ([], "--dead-lettered, --rejected, --since DATE or --all"),
        (["scored.csv", "--dead-leterred"], "--dead-leterred"),
        (["--since", "yesterday"], "--since"),
    ):
        status, said = here.rescore(*arguments)
        assert status == 2
        assert part in said
    assert here.published() == []
