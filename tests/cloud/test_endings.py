"""SIGTERM on Google's services: also where they have fallen silent, and no message is given to nobody."""

from __future__ import annotations

import random
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from threading import Event

import pytest

from deploy.waiting import wait_for
from ledger.names import output_name
from ledger.receipt import Status
from tests.chaos.understudy import Program, surveys, undisturbed
from tests.cloud.house import House
from tests.cloud.way import Step, step_of
from tests.contract.fault_proxy import Fault, FaultProxy, Request
from worker.processes.ending import GIVE_BACK_SECONDS

pytestmark = [pytest.mark.emulator, pytest.mark.slow, pytest.mark.timeout(600)]

ENDINGS = 3
# The emulator knows no flow control: it hands all that waits to the first worker, whose end costs each an attempt; and
# with each attempt a longer back-off, which is not what this is about.
MANY_ATTEMPTS = ("--max-delivery-attempts", "100", "--min-backoff", "0s", "--max-backoff", "1s")
LONG = "600"  # seconds to drain: nothing is ended by force, however slow the machine


def taken(workers: list[Program]) -> Counter[str]:
    """How often each file came to these workers."""
    return Counter(record["file"] for worker in workers for record in worker.records("file taken"))


def finished(worker: Program) -> set[str]:
    """The files that this worker saw to their receipt."""
    return {record["file"] for told in ("receipt written", "receipt stood already") for record in worker.records(told)}


class Gate:
    """A plan of the proxy: from the `after`-th step of one kind on every call waits until the gate is opened."""

    def __init__(self, is_counted: Callable[[Step], bool], after: int) -> None:
        self._is_counted, self._left = is_counted, after
        self.reached, self.opened = Event(), Event()

    def __call__(self, request: Request) -> None:
        if not self.reached.is_set() and self._is_counted(step_of(request)):
            self._left -= 1
            if self._left == 0:
                self.reached.set()
        if self.reached.is_set():
            self.opened.wait()


def test_ended_again_and_again_each_message_comes_at_most_once_more(house: House, model_cache: Path) -> None:
    # given more files than the workers do before they are told to end
    choose = random.Random(3)
    house.provision(*MANY_ATTEMPTS)
    files = surveys(60, 400)
    house.upload(files)

    # when one worker after the other is, at whatever call of Cloud Storage it stands after a few files
    ended: list[Program] = []
    with FaultProxy(house.storage.url) as proxy:
        house.environment["STORAGE_EMULATOR_HOST"] = proxy.url
        for _ in range(ENDINGS):
            gate = Gate(lambda step: step.object != "bucket", choose.randint(10, 60))
            proxy.plan = gate
            [worker] = house.workers(1, "--drain-seconds", LONG)
            wait_for(gate.reached.is_set, "a call that waits")
            worker.kill(signal.SIGTERM)
            worker.wait_for_log("draining")
            gate.opened.set()
            assert worker.process.wait(300) == 0, worker.log.read_text()[-2000:]
            assert not worker.records("ended by force")
            assert not worker.records("attempt failed")
            assert finished(worker) == {*taken([worker])}
            ended.append(worker)
        proxy.plan = lambda _request: None
        assert 0 < house.count_receipts() < len(files), "the workers were to be ended while there was work"

        # then another does the rest, none gave a file to its scorers twice, and no more came again than was in hand
        [last] = house.workers(1, "--drain-seconds", LONG)
        wait_for(lambda: house.count_receipts() == len(files), "all receipts", 300, every=0.2)
        assert [(r.source.name, r.status) for r in house.receipts()] == [(name, Status.SCORED) for name in files]
        assert {name: house.read(output_name(name)) for name in files} == undisturbed(
            house.registry, model_cache, "1", files
        )
        assert last.end(seconds=300) == 0
    assert all(count == 1 for worker in (*ended, last) for count in taken([worker]).values())
    again = taken([*ended, last]).total() - len(files)
    in_hand = [record["in_hand"] for worker in ended for record in worker.records("draining")]
    print(f"\n{len(files)} files came {again} times more than once each; in hand at the endings: {in_hand}")
    assert all(in_hand), "each was to be ended in the middle of something"
    assert again <= sum(in_hand)


def test_a_worker_whose_bucket_has_fallen_silent_ends_all_the_same(house: House, model_cache: Path) -> None:
    # given a worker in the middle of its files, whose bucket takes calls and answers none
    house.provision(*MANY_ATTEMPTS)
    files = surveys(40, 400)
    house.upload(files)
    silent, receipts_written = Event(), Counter[str]()

    def falls_silent(request: Request) -> Fault | None:
        if str(step_of(request)) == "write the receipt":  # a call that the worker makes itself, not its scoring process
            receipts_written["so far"] += 1
            if receipts_written["so far"] > 3:
                silent.set()
        return Fault("silence") if silent.is_set() else None

    with FaultProxy(house.storage.url, falls_silent) as proxy:
        house.environment["STORAGE_EMULATOR_HOST"] = proxy.url
        [worker] = house.workers(1, "--drain-seconds", "1")
        wait_for(silent.is_set, "silence")

        # when it is told to end, then it does while the bucket is silent still, by force: not when its call gives up
        assert worker.end() == 0, worker.log.read_text()[-2000:]
        [forced] = worker.records("ended by force")
        assert forced["after_seconds"] == 1 + GIVE_BACK_SECONDS
        assert not proxy.released.is_set()

    # and has claimed nothing that is not so. What it held is not waited for: the emulator goes on sending to a puller
    # that was killed (with Google's library alone, 45 of 80 messages had not come to the next puller after 90 s).
    receipts = house.receipts()
    assert 3 <= len(receipts) < len(files)
    assert {r.source.name: house.read(output_name(r.source.name)) for r in receipts} == undisturbed(
        house.registry, model_cache, "1", {r.source.name: files[r.source.name] for r in receipts}
    )
