"""A file that kills its scorer: dead-lettered after the last attempt, while all others are scored; and brought back."""

from __future__ import annotations

import signal
from pathlib import Path
from threading import Event, Thread

import pytest

from deploy.waiting import wait_for
from ledger.names import Key
from ledger.receipt import Status
from tests.chaos.understudy import STEADY, Program, Running, send, surveys, undisturbed
from transport.event import Generation


class Killer:
    """Kills every scoring process that has one file open, as often as that happens. Use as a context manager."""

    def __init__(self, workers: list[Program], file: Path) -> None:
        self._workers, self._file, self._stop = workers, file, Event()
        self.killed: set[int] = set()
        self._thread = Thread(target=self._run)

    def __enter__(self) -> Killer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(0.002):
            for pid in filter(None, (worker.scorer_with(self._file) for worker in self._workers)):
                send(pid, signal.SIGKILL)
                self.killed.add(pid)


def test_a_poison_file_is_dead_lettered_and_takes_nobody_with_it(running: Running, model_cache: Path) -> None:
    # given a file that ends every process that reads it, among others
    others = surveys(20, 100)
    poison = {"poison.csv": surveys(2, 100_000)["part 000.csv"]}
    running.set_policy(STEADY)
    publisher, worker = running.publisher(), running.worker()
    running.ready(worker)
    with Killer([worker], running.root / "poison.csv") as killer:
        generation = running.drop("poison.csv", poison["poison.csv"])
        for name, content in others.items():
            running.drop(name, content)
        running.wait_until_done(len(others) + 1)

    # then each attempt cost one process; it has a receipt that says so; all others are scored as ever
    key = Key("poison.csv", generation)
    [dead] = running.receipts("poison.csv")
    assert (dead.key, dead.status, dead.attempt) == (key, Status.DEAD_LETTERED, STEADY.max_delivery_attempts)
    assert "SIGKILL" in dead.errors[0].message
    assert len(killer.killed) == STEADY.max_delivery_attempts
    assert running.output("poison.csv") is None
    assert {name: running.output(name) for name in others} == undisturbed(running.registry, model_cache, "1", others)
    assert worker.process.poll() is None
    # and nobody publishes it again by himself
    running.next_run()
    assert len(publisher.records("published", file="poison.csv")) == 1
    assert running.count_receipts() == len(others) + 1
    listed = running.start("publisher dead-letters", "--json")
    assert listed.process.wait(60) == 0
    assert "poison.csv" in listed.log.read_text()

    # when its cause is mended and it is scored anew on purpose
    rescore = running.start("publisher rescore", "--dead-lettered")
    assert rescore.process.wait(60) == 0, rescore.log.read_text()
    running.wait_until_done(len(others) + 2)

    # then it has its output, and the earlier receipt stays beside the new one
    assert (worker.end(), publisher.end()) == (0, 0)
    again = Generation(generation.content, 1)
    assert [(r.key.generation, r.status) for r in running.receipts("poison.csv")] == [
        (generation, Status.DEAD_LETTERED),
        (again, Status.SCORED),
    ]
    assert {"poison.csv": running.output("poison.csv")} == undisturbed(running.registry, model_cache, "1", poison)
    assert running.left_behind() == []


@pytest.mark.slow
def test_a_file_whose_shadow_is_killed_is_served_and_acked(running: Running, model_cache: Path) -> None:
    # given a file whose shadow's process is killed whenever it reads it, after production's receipt stands
    name, content = "big.csv", surveys(2, 100_000)["part 000.csv"]
    running.set_policy(STEADY)
    publisher, worker = running.publisher(), running.worker()
    running.ready(worker)
    generation = running.drop(name, content)
    receipt = running.root / Key(name, generation).receipt
    production = wait_for(lambda: worker.scorer_with(running.root / name), "a scoring process that reads", every=0.001)
    shadows = set(worker.scorers()) - {production}
    for pid in shadows:
        send(pid, signal.SIGSTOP)  # until somebody waits for it
    wait_for(receipt.exists, "the receipt", every=0.001)
    with Killer([worker], running.root / name) as killer:
        for pid in shadows:
            send(pid, signal.SIGCONT)
        running.wait_until_done(1)

    # then the failed comparison is on record, production's output is as without a shadow, and nothing comes again
    assert (worker.end(), publisher.end()) == (0, 0)
    assert len(killer.killed) == 1
    assert killer.killed <= shadows
    assert {name: running.output(name)} == undisturbed(running.registry, model_cache, "1", {name: content})
    assert "SIGKILL" in (running.root / Key(name, generation).comparison).read_text()
    assert not worker.records("attempt failed")
    assert len(worker.records("file taken")) == 1


@pytest.mark.slow
def test_production_goes_on_while_a_shadow_stands_still(running: Running) -> None:
    # given a shadow that stands still in the middle of a big file
    publisher, worker = running.publisher(), running.worker("--shadow-seconds", "10")
    running.ready(worker)
    generation = running.drop("big.csv", surveys(2, 100_000)["part 000.csv"])
    key = Key("big.csv", generation)
    wait_for((running.root / key.receipt).exists, "the receipt", every=0.001)
    shadow = wait_for(lambda: worker.scorer_with(running.root / key.name), "a shadow that reads", every=0.001)
    send(shadow, signal.SIGSTOP)

    # when other files come
    others = surveys(6, 50)
    for name, content in others.items():
        running.drop(name, content)

    # then they have their receipts long before it is ended
    wait_for(lambda: running.count_receipts() == 1 + len(others), "the receipts of the others", every=0.001)
    assert not (running.root / key.comparison).exists()
    # and then it is on record, and its message acked
    wait_for(lambda: running.backlog() == 0, "an empty queue", 120.0)
    assert "took longer" in (running.root / key.comparison).read_text()
    assert (worker.end(), publisher.end()) == (0, 0)
    assert len(worker.records("shadow compared")) == len(others)
    assert len(worker.records("shadow failed")) == 1
