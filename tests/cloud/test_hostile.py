"""Notifications as they come, and as an enemy would send them, through the real programs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial

import pytest

from deploy.waiting import wait_for
from ledger.receipt import Status
from tests.chaos.understudy import Program, surveys
from tests.cloud.house import BUCKET, House, Raw
from transport.event import Generation, Message

pytestmark = [pytest.mark.emulator, pytest.mark.slow, pytest.mark.timeout(600)]


@dataclass(frozen=True)
class Sent:
    """A message that names nothing to score, and a part of the reason that is to stand on its record."""

    message: Message
    reason: str


def notification(name: str, generation: str, data: bytes = b"", **attributes: str) -> Message:
    """As Cloud Storage sends it; `attributes` are added, or replace its own."""
    return Message(
        data,
        {
            "notificationConfig": f"projects/_/buckets/{BUCKET}/notificationConfigs/1",
            "eventType": "OBJECT_FINALIZE",
            "payloadFormat": "JSON_API_V1",
            "bucketId": BUCKET,
            "objectId": name,
            "objectGeneration": generation,
            "eventTime": "2026-01-02T03:04:05.678901Z",
            **attributes,
        },
    )


def without(message: Message, *attributes: str) -> Message:
    return Message(message.data, {k: v for k, v in message.attributes.items() if k not in attributes})


HOSTILE = {
    "a path that climbs": Sent(notification("../../etc/passwd.csv", "1"), "not a plain path"),
    "a path that climbs out of output/": Sent(notification("output/../a.csv", "1"), "not a plain path"),
    "a path from the root": Sent(notification("/a.csv", "1"), "not a plain path"),
    "a control character": Sent(notification("a\nb.csv", "1"), "control character"),
    "a name of 1,100 bytes": Sent(notification("a" * 1_019 + ".csv" * 20, "1"), "has 1099 bytes"),
    "no name": Sent(without(notification("a.csv", "1"), "objectId"), "objectId is missing"),
    "no bucket": Sent(without(notification("a.csv", "1"), "bucketId"), "bucketId is missing"),
    "another bucket": Sent(notification("a.csv", "1", bucketId="somebody-elses"), "about the bucket 'somebody-elses'"),
    "a generation that is no number": Sent(notification("a.csv", "newest"), "not a whole number: 'newest'"),
    "a generation below zero": Sent(notification("a.csv", "-1"), "not a whole number: '-1'"),
    "a generation of other digits": Sent(notification("a.csv", "١٢٣"), "not a whole number"),
    "a generation of a thousand digits": Sent(notification("a.csv", "9" * 1000), "not a whole number"),
    "no generation": Sent(without(notification("a.csv", "1"), "objectGeneration"), "not a whole number: ''"),
    "a re-scoring that is no number": Sent(notification("a.csv", "1", rescore="again"), "not a whole number"),
    "1 MB of JSON, and no generation": Sent(
        notification("a.csv", "", json.dumps({"name": "x" * 1_000_000}).encode()), "not a whole number: ''"
    ),
}


def usable(name: str, generation: Generation, kind: str) -> Message:
    """A message about an object that is there, of which something is odd and nothing wrong."""
    number = str(generation)
    odd = {
        "payloadFormat=NONE": notification(name, number, payloadFormat="NONE"),
        "overwroteGeneration": notification(name, number, overwroteGeneration="1234567890"),
        "unknown attributes": notification(name, number, **{f"x-goog-{n}": "é" * 200 for n in range(40)}),
        "1 MB of JSON": notification(name, number, json.dumps({"metadata": {"a": "x" * 1_000_000}}).encode()),
        "JSON without end": notification(name, number, b"[" * 100_000),
        "a payload of bytes": notification(name, number, bytes(range(256)) * 40),
        "a payload about something else": notification(
            name, number, b'{"name": "../x", "generation": "7", "size": -3}'
        ),
        "no time": without(notification(name, number), "eventTime"),
    }
    return odd[kind]


def every_message_handled(house: House, worker: Program, hostile: set[str], about_files: int) -> bool:
    return hostile <= set(house.unusable()) and len(worker.records("file taken")) >= about_files


USABLE = (
    "payloadFormat=NONE",
    "overwroteGeneration",
    "unknown attributes",
    "1 MB of JSON",
    "JSON without end",
    "a payload of bytes",
    "a payload about something else",
    "no time",
)


def test_what_names_nothing_to_score_ends_on_record_and_everything_else_is_scored(house: House) -> None:
    # Given: a worker, and files that the bucket itself tells of
    # No lease runs out, for the worker extends them. What the emulator (0.8.20) loses on its way comes again in a
    # minute: messages in an answer of over 4 MB, or sent into a stream that has ended.
    house.provision("--lease", "60s", "--min-backoff", "0s", "--max-backoff", "1s")
    [worker] = house.workers(1)
    names = dict(zip(USABLE, surveys(len(USABLE), 20).items(), strict=True))
    generations = house.upload(dict(names.values()))

    # When: hostile messages come, among odd ones about those files, and then all of them once more
    messages = [sent.message for sent in HOSTILE.values()]
    messages += [usable(name, generations[name], kind) for kind, (name, _) in names.items()]
    ids: list[str] = []
    for again in (1, 2):  # one round after the other: each is well below 4 MB
        with Raw(house.names.topic) as raw:
            ids += raw.publish(messages)[: len(HOSTILE)]
        about_files = (again + 1) * len(USABLE)  # the bucket's own among them
        waited_for = f"round {again}: {about_files} files taken, and {len(ids)} records"
        wait_for(partial(every_message_handled, house, worker, {*ids}, about_files), waited_for, 240, every=0.5)

    # Then: each hostile one is on record with its reason and attributes, and every file is scored once
    wait_for(lambda: house.count_receipts() == len(USABLE), "the receipts", every=0.5)
    records = house.unusable()
    for id, (what, sent) in zip(ids, 2 * list(HOSTILE.items()), strict=True):
        assert sent.reason in records[id].reason, what
        record = json.loads(house.read(records[id].record))
        assert record["payload_bytes"] == len(sent.message.data)
        assert record["attributes"] == {key: value[:1000] for key, value in sorted(sent.message.attributes.items())}
    assert [(r.source.name, r.status) for r in house.receipts()] == [(n, Status.SCORED) for n in sorted(generations)]

    # And: nothing comes again, and no other object was written, or looked for, by a name that they gave
    house.upload({"the last.csv": b"no,such,columns\n"})
    worker.wait_for_log("receipt written", file="the last.csv")
    wait_for(lambda: len(worker.records("shadow compared")) >= len(USABLE), "the shadows", 60)
    assert worker.end() == 0
    assert len(worker.records("message unusable")) == 2 * len(HOSTILE)
    assert len(worker.records("file taken")) == about_files + 1
    assert not worker.records("attempt failed")
    assert not worker.records("message failed in an unforeseen way")
    assert set(house.unusable()) == set(ids)
    told = {"the last.csv", *generations}
    assert {info.name for info in house.bucket.objects(recursive=False)} == told
    assert house.left_behind() == []

    # And: a person finds them listed
    listed = house.start("publisher dead-letters", "--json")
    assert listed.process.wait(60) == 0, listed.log.read_text()
    shown = json.loads(listed.log.read_text())["unusable"]
    assert {record["id"] for record in shown} == set(ids)
    assert all(record["reason"] for record in shown)


KINDS = ("OBJECT_DELETE", "OBJECT_ARCHIVE", "OBJECT_METADATA_UPDATE", "", "object_finalize")


def test_where_nothing_is_filtered_the_worker_looks_itself(house: House) -> None:
    # Given: the emulator, which lets through what the subscription's filter would keep back
    house.provision()
    [worker] = house.workers(1, "--log-level", "debug")

    # When: events of every kind come, and a file whose outputs the bucket tells of, too
    with Raw(house.names.topic) as raw:
        ids = raw.publish([notification("a.csv", "1", eventType=kind) for kind in KINDS])
    house.upload({"a.csv": surveys(1, 20)["part 000.csv"], "notes.txt": b"no input"})
    worker.wait_for_log("shadow compared", file="a.csv")
    wait_for(lambda: len(house.unusable()) == len(KINDS), "the records")

    # Then: other kinds are on record; objects that are no inputs, the records among them, are passed over
    records = house.unusable()
    assert set(records) == set(ids)
    for id, kind in zip(ids, KINDS, strict=True):
        assert f"eventType is {kind!r}" in records[id].reason
    passed_over = {"notes.txt", *(info.name for info in house.bucket.objects("output/"))}
    wait_for(lambda: {r["file"] for r in worker.records("not an input")} >= passed_over, "every other event")
    assert worker.end() == 0
    assert len(worker.records("file taken")) == 1
    assert set(house.unusable()) == set(ids)
