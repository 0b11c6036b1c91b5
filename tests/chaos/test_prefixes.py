"""The real programs, whose prefixes are not the same: nothing is acked unsaid, and nothing dropped below INFO."""

from __future__ import annotations

import json

import pytest

from deploy.waiting import wait_for
from tests.chaos.understudy import Running, surveys
from tests.unit.test_worker_signals import figures

ADVICE = "publishers and workers of a queue need the same UNDERSTUDY_PREFIX"


@pytest.mark.slow
@pytest.mark.parametrize(("published", "worked"), [("", "incoming/"), ("incoming/", "")])
def test_a_worker_with_another_prefix_than_its_publisher_says_so(running: Running, published: str, worked: str) -> None:
    # Given a publisher and a worker of one queue
    [content] = surveys(1, 20).values()
    (running.root / "incoming").mkdir()
    publisher = running.publisher("--prefix", published)
    worker = running.worker("--prefix", worked, "--listen", "127.0.0.1:0")
    running.ready(worker)

    # When files are dropped below both prefixes
    for folder in (published, worked):
        (running.root / f"{folder}a.csv").write_bytes(content)
    told = worker.wait_for_log("message unusable")

    # Then the worker warns, counts, and puts the publisher's message on record
    assert told["severity"] == "WARNING"
    assert ADVICE in told["reason"]
    url = worker.records("listening")[0]["url"]
    wait_for(lambda: figures(url)["understudy_unusable_messages_total",] == 1, "the metric")
    wait_for(lambda: running.backlog() == 0, "the ack")
    listed = running.start("publisher dead-letters", "--json")
    assert listed.status() == 0
    [record] = json.loads(listed.log.read_text())["unusable"]
    assert (record["reason"], record["record"]) == (told["reason"], told["record"])

    # And no worker has scored what is not its own
    assert (worker.end(), publisher.end()) == (0, 0)
    assert running.receipts() == []
    assert worker.records("file taken") == []


def test_what_only_looks_like_an_input_is_told_by_publisher_and_status(running: Running) -> None:
    # Given files that were meant to be scored, and cannot be
    (running.root / "new").mkdir()
    for name in ("new/a.csv", "a.csv.zip", "x" * 220 + ".csv"):
        (running.root / name).write_bytes(b"a\n1\n")
    (running.root / "link.csv").symlink_to("new/a.csv")

    # When a publisher makes a pass, and one asks how things stand
    publisher = running.start("publisher", "--once", "--settle", "0")
    status = running.start("publisher status", "--json")
    assert (publisher.status(), status.status()) == (0, 0)

    # Then both say of each why it is none, and none of them waits for a receipt
    told = {record["file"]: record["reason"] for record in publisher.records("not an input", severity="INFO")}
    seen = json.loads(status.log.read_text())
    assert set(told) == {"new/a.csv", "a.csv.zip", "x" * 220 + ".csv", "link.csv"}
    assert {other["name"]: other["reason"] for other in seen["first_not_inputs"]} == told
    assert (seen["not_inputs"], seen["inputs"], seen["unanswered"]) == (4, 0, 0)
