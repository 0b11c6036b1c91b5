"""A file that kills its scorer, on Google's services: dead-lettered with attempts and source, and brought back."""

from __future__ import annotations

import json
import signal
from threading import Event, Thread

import pytest

from deploy.waiting import wait_for
from ledger.names import Key, output_name
from ledger.receipt import Status
from tests.chaos.understudy import Program, send, surveys
from tests.cloud.house import BUCKET, House
from transport.event import Generation

pytestmark = [pytest.mark.emulator, pytest.mark.slow, pytest.mark.timeout(600)]

POISON, ATTEMPTS = "poison.csv", 5


class Killer:
    """Kills a worker's scoring processes from the first attempt at one file to the end of the last. A context manager.

    They are stopped until then: however late the kill comes, the file is not scored before it.
    """

    def __init__(self, worker: Program) -> None:
        self._worker, self._stop, self._thread = worker, Event(), Thread(target=self._run)

    def __enter__(self) -> Killer:
        for pid in self._worker.scorers():
            send(pid, signal.SIGSTOP)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while len(self._worker.records("attempt failed", file=POISON)) < ATTEMPTS and not self._stop.wait(0.01):
            for pid in self._worker.scorers() if self._worker.records("file taken", file=POISON) else ():
                send(pid, signal.SIGKILL)


def test_it_is_dead_lettered_with_attempts_and_source_and_rescore_brings_it_back(house: House) -> None:
    # Given: a publisher, and a worker whose scoring processes are killed over one file, again and again; no lease runs
    # out, however slow the machine is, so that each attempt is one that was killed
    house.provision("--lease", "600s", "--min-backoff", "0s", "--max-backoff", "1s")
    publisher = house.start("publisher", "--interval", "1s", "--settle", "10m")
    [worker] = house.workers(1)
    with Killer(worker):
        generation = house.upload({POISON: surveys(2, 40_000)["part 000.csv"]})[POISON]
        wait_for(lambda: house.receipts(POISON), "the receipt of the poison file", 200, every=0.5)

    # Then: it took its attempts, went by way of the dead-letter subscription, and says so
    [dead] = house.receipts(POISON)
    assert (dead.key, dead.status, dead.attempt) == (Key(POISON, generation), Status.DEAD_LETTERED, ATTEMPTS)
    assert (dead.source.bucket, dead.source.name, dead.source.generation) == (BUCKET, POISON, generation.content)
    assert dead.source.size is not None
    assert "SIGKILL" in dead.errors[0].message
    assert [record["attempt"] for record in worker.records("attempt failed", file=POISON)] == [1, 2, 3, 4, 5]
    said = "dead-lettered; mend the cause, then run `python -m publisher rescore` with its name"
    publisher.wait_for_log(said)  # after the receipt
    [buried] = publisher.records(said)
    assert (buried["file"], buried["attempt"]) == (POISON, ATTEMPTS)
    assert not list(house.bucket.objects(output_name(POISON)))
    assert worker.process.poll() is None

    # And: other files are scored as ever, and nobody publishes the poison file by himself
    others = surveys(5, 50)
    house.upload(others)
    wait_for(lambda: house.count_receipts() == 1 + len(others), "the receipts of the others", every=0.5)
    assert not publisher.records("published")
    listed = house.start("publisher dead-letters", "--json")
    assert listed.process.wait(60) == 0, listed.log.read_text()
    [shown] = json.loads(listed.log.read_text())["dead_lettered"]
    assert (shown["file"], shown["attempts"]) == (POISON, ATTEMPTS)

    # When: its cause is mended, and it is scored again on purpose
    rescore = house.start("publisher rescore", "--dead-lettered")
    assert rescore.process.wait(60) == 0, rescore.log.read_text()
    wait_for(lambda: len(house.receipts(POISON)) == 2, "a second receipt", every=0.5)

    # Then: it has its output, and the earlier receipt stays beside the new one
    again = Generation(generation.content, 1)
    assert [(receipt.key.generation, receipt.status) for receipt in house.receipts(POISON)] == [
        (generation, Status.DEAD_LETTERED),
        (again, Status.SCORED),
    ]
    assert house.read(output_name(POISON)).count(b"\n") == 40_001
    wait_for(lambda: house.left_behind() == [], "claims and notes removed")
    assert (worker.end(), publisher.end()) == (0, 0)
