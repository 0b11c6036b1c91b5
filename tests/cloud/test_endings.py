"""SIGTERM on Google's services: in time also where they have fallen silent, and nobody is given a message in vain."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from deploy.waiting import wait_for
from ledger.names import output_name
from ledger.receipt import Status
from tests.chaos.understudy import Program, send, surveys, undisturbed
from tests.cloud.house import House
from worker.ending import GIVE_BACK_SECONDS

pytestmark = [pytest.mark.emulator, pytest.mark.slow, pytest.mark.timeout(600)]

ENDINGS = 4
# The emulator knows no flow control: it hands all that waits to the first worker, whose end costs each an attempt.
MANY_ATTEMPTS = ("--max-delivery-attempts", "100")


def taken(workers: list[Program]) -> Counter[str]:
    """How often each file came to these workers."""
    return Counter(record["file"] for worker in workers for record in worker.records("file taken"))


def test_ended_again_and_again_each_message_comes_at_most_once_more(house: House, model_cache: Path) -> None:
    # given far more files than one worker does before it is told to end
    choose = random.Random(3)
    house.provision(*MANY_ATTEMPTS)
    files = surveys(300, 400)
    house.upload(files)

    # when one worker after the other is
    ended: list[Program] = []
    for _ in range(ENDINGS):
        [worker] = house.workers(1, "--drain-seconds", "20")
        wait_for(lambda: taken([worker]).total() >= choose.randint(1, 12), "some files", every=0.001)  # noqa: B023
        asked = time.monotonic()
        assert worker.end(seconds=40) == 0, worker.log.read_text()[-2000:]
        assert time.monotonic() - asked < 20 + GIVE_BACK_SECONDS
        assert not worker.records("ended by force")
        assert not worker.records("attempt failed")
        ended.append(worker)
    assert 0 < house.count_receipts() < len(files), "the workers were to be ended while there was work"

    # then another does the rest, none gave a file to its scorers twice, and no more came again than was in hand
    [last] = house.workers(1)
    wait_for(lambda: house.count_receipts() == len(files), "all receipts", 300, every=0.2)
    assert [(r.source.name, r.status) for r in house.receipts()] == [(name, Status.SCORED) for name in files]
    assert {name: house.read(output_name(name)) for name in files} == undisturbed(
        house.registry, model_cache, "1", files
    )
    assert last.end() == 0
    assert all(count == 1 for worker in (*ended, last) for count in taken([worker]).values())
    again = taken([*ended, last]).total() - len(files)
    in_hand = [record["in_hand"] for worker in ended for record in worker.records("draining")]
    print(f"\n{len(files)} files came {again} times more than once each; in hand at the endings: {in_hand}")
    assert again <= sum(in_hand)


def test_a_worker_whose_bucket_has_fallen_silent_ends_in_time_all_the_same(house: House, model_cache: Path) -> None:
    # given a worker in the middle of its files, whose bucket takes calls and answers none
    house.provision(*MANY_ATTEMPTS)
    files = surveys(300, 400)
    house.upload(files)
    [worker] = house.workers(1, "--drain-seconds", "1")
    wait_for(lambda: taken([worker]).total() >= 5, "some files taken", every=0.001)
    send(house.storage.pid, signal.SIGSTOP)

    # when it is told to end
    asked = time.monotonic()
    try:
        status = worker.end()
        took = time.monotonic() - asked
    finally:
        send(house.storage.pid, signal.SIGCONT)

    # then it does, in its time, and has claimed nothing that is not so. What it held is not waited for: the emulator
    # goes on sending to a puller that was killed (with Google's library alone, 45 of 80 messages had not come to the
    # next puller after 90 s), and this worker's end may be a forced one.
    assert status == 0
    assert took < 1 + GIVE_BACK_SECONDS + 2, worker.log.read_text()[-2000:]
    # It is ended by force where a call of the worker's own hung, not where only one of a scoring process did.
    forced = [record["after_seconds"] for record in worker.records("ended by force")]
    assert forced in ([], [1 + GIVE_BACK_SECONDS])
    receipts = house.receipts()
    assert 0 < len(receipts) < len(files)
    assert {r.source.name: house.read(output_name(r.source.name)) for r in receipts} == undisturbed(
        house.registry, model_cache, "1", {r.source.name: files[r.source.name] for r in receipts}
    )
