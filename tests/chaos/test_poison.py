"""A file that kills its scorer: dead-lettered after the last attempt, while all others are scored; and brought back."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread

import pytest

from deploy.waiting import wait_for
from ledger.names import Key
from ledger.receipt import Status
from tests.chaos.processes import send
from tests.chaos.understudy import STEADY, Program, Running, big, surveys, undisturbed
from transport.event import Generation

ATTEMPTS = 3


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


@pytest.mark.slow
def test_a_poison_file_is_dead_lettered_and_takes_nobody_with_it(running: Running, model_cache: Path) -> None:
    # given a file that ends every process that reads it, among others
    others = surveys(20, 100)
    poison = {"poison.csv": big()}
    running.set_policy(replace(STEADY, max_delivery_attempts=ATTEMPTS))
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
    assert (dead.key, dead.status, dead.attempt) == (key, Status.DEAD_LETTERED, ATTEMPTS)
    assert "SIGKILL" in dead.errors[0].message
    assert len(killer.killed) == ATTEMPTS
    assert running.output("poison.csv") is None
    assert {name: running.output(name) for name in others} == undisturbed(running.registry, model_cache, "1", others)
    assert worker.process.poll() is None
    # and nobody publishes it again by himself
    running.next_pass()
    assert running.backlog() == 0
    assert len(publisher.records("published", file="poison.csv")) == 1
    assert running.count_receipts() == len(others) + 1
    listed = running.start("publisher dead-letters", "--json")
    assert listed.status() == 0
    assert "poison.csv" in listed.log.read_text()

    # when its cause is mended and it is scored again on purpose
    rescore = running.start("publisher rescore", "--dead-lettered")
    assert rescore.status() == 0, rescore.log.read_text()
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
    name, content = "big.csv", big()
    publisher, worker = running.publisher(), running.worker()
    running.ready_with_shadow(worker)
    key, shadow = drop_with_its_shadow_stopped(running, worker, name, content)
    with Killer([worker], running.root / name) as killer:
        send(shadow, signal.SIGCONT)
        running.wait_until_done(1)

    # then the failed comparison is on record, production's output is as without a shadow, and nothing comes again
    assert (worker.end(), publisher.end()) == (0, 0)
    assert killer.killed == {shadow}
    assert {name: running.output(name)} == undisturbed(running.registry, model_cache, "1", {name: content})
    assert "SIGKILL" in (running.root / key.comparison).read_text()
    assert not worker.records("attempt failed")
    assert len(worker.records("file taken")) == 1


@pytest.mark.slow
def test_a_shadow_that_stands_still_is_ended_after_its_time(running: Running) -> None:
    # given a shadow that stands still, and may take no longer than a moment
    publisher, worker = running.publisher(), running.worker("--shadow-seconds", "0.5")
    running.ready_with_shadow(worker)
    key, shadow = drop_with_its_shadow_stopped(running, worker, "big.csv", big())

    # then it is ended, that is on record, and the message acked
    running.wait_until_done(1)
    assert not Path(f"/proc/{shadow}").exists()
    assert "took longer" in (running.root / key.comparison).read_text()
    assert (worker.end(), publisher.end()) == (0, 0)
    assert len(worker.records("shadow failed")) == 1
    assert len(worker.records("file taken")) == 1


@pytest.mark.slow
def test_production_goes_on_while_a_shadow_stands_still(running: Running) -> None:
    # given a shadow that stands still, and has an hour
    publisher, worker = running.publisher(), running.worker("--shadow-seconds", "3600")
    running.ready_with_shadow(worker)
    key, shadow = drop_with_its_shadow_stopped(running, worker, "big.csv", big())

    # when other files come
    others = surveys(6, 50)
    for name, content in others.items():
        running.drop(name, content)

    # then they have their receipts while it stands still, and its message is kept
    wait_for(lambda: running.count_receipts() == 1 + len(others), "the receipts of the others")
    assert not worker.records("shadow compared")
    assert not worker.records("shadow failed")
    assert not (running.root / key.comparison).exists()
    assert running.backlog() == 1 + len(others)  # each waits for its shadow
    # and once it is killed, before it has begun the file, another does that; all are compared, and all messages acked
    send(shadow, signal.SIGKILL)
    wait_for(lambda: running.backlog() == 0, "an empty queue")
    assert (worker.end(), publisher.end()) == (0, 0)
    assert len(worker.records("scoring process replaced before its task")) == 1
    assert len(worker.records("shadow compared")) == 1 + len(others)
    assert not worker.records("shadow failed")


def drop_with_its_shadow_stopped(running: Running, worker: Program, name: str, content: bytes) -> tuple[Key, int]:
    """Drops a file, and stops the shadow's process while production reads it; gives key and process once it is served.

    The worker must have no other file.
    """
    key = Key(name, running.drop(name, content))
    reads = wait_for(lambda: worker.scorer_with(running.root / name), "a scoring process that reads", every=0.001)
    others = set(worker.scorers()) - {reads}
    for pid in others:
        send(pid, signal.SIGSTOP)
    assert not (running.root / key.receipt).exists(), "it was to be stopped while production reads"
    assert others, "the shadow was to have a process of its own"
    wait_for((running.root / key.receipt).exists, "the receipt")
    [shadow] = others
    return key, shadow
