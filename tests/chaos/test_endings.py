"""SIGTERM and Ctrl-C at any moment of a worker's life: exit 0 in time, nothing lost, nothing done twice."""

from __future__ import annotations

import os
import random
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from deploy.waiting import wait_for
from ledger.receipt import Status
from tests.chaos.understudy import STEADY, Program, Running, surveys, undisturbed
from worker.ending import GIVE_BACK_SECONDS

ENDINGS = 20
PATIENT, HURRIED = 20.0, 0.0  # seconds to drain in: enough for everything in hand, and for nothing
MOMENTS = ("first file", "some files", "many files", "importing", "starting", "ready")


@pytest.mark.parametrize(
    "drain", [pytest.param("25", id="time to finish"), pytest.param("0", id="no time at all", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize(
    "number",
    [pytest.param(signal.SIGTERM, id="SIGTERM"), pytest.param(signal.SIGINT, id="Ctrl-C", marks=pytest.mark.slow)],
)
def test_ended_under_load_a_worker_loses_nothing(
    running: Running, model_cache: Path, number: signal.Signals, drain: str
) -> None:
    # given a worker with far more files than it has done
    running.set_policy(STEADY)
    files = surveys(30, 6000)
    for name, content in files.items():
        running.drop(name, content)
    assert running.start("publisher", "--once", "--settle", "0").process.wait(60) == 0
    worker = running.worker("--drain-seconds", drain)
    wait_for(lambda: running.count_receipts() >= 2, "2 receipts", every=0.001)

    # when it is told to end: by SIGTERM to itself, or by Ctrl-C, which reaches its whole process group
    if number == signal.SIGTERM:
        worker.kill(number)
    else:
        os.killpg(worker.pid, number)

    # then it ends with 0, and holds nothing: what is left can be taken at once
    assert worker.process.wait(60) == 0, worker.log.read_text()
    assert running.queue.backlog().leased == 0
    done = running.receipts()
    assert len(done) + running.backlog() >= len(files)
    assert len(done) < len(files), "it was to be ended while there was work"
    assert "Traceback" not in worker.log.read_text()
    if drain != "0":
        assert not worker.records("attempt failed")

    # and another one does the rest, with nothing left behind
    rest = running.worker("--until-idle", "0")
    assert rest.process.wait(60) == 0
    assert [(r.source.name, r.status) for r in running.receipts()] == [(name, Status.SCORED) for name in files]
    assert all(receipt in running.receipts() for receipt in done)
    assert {name: running.output(name) for name in files} == undisturbed(running.registry, model_cache, "1", files)
    running.next_run()
    assert running.left_behind() == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_ended_twenty_times_under_load_each_message_comes_at_most_once_more(
    running: Running, model_cache: Path
) -> None:
    # given a publisher, and always more files than the workers have done
    running.set_policy(STEADY)
    choose = random.Random(6)
    contents = list(surveys(10, 2000).values())
    publisher = running.publisher()
    dropped: dict[str, bytes] = {}

    def keep_a_backlog(least: int = 40) -> None:
        while len(dropped) - running.count_receipts() < least:
            name = f"part {len(dropped):04}.csv"
            dropped[name] = contents[len(dropped) % len(contents)]
            running.drop(name, dropped[name])

    # when one worker after the other is told to end, at moments that differ
    ended: list[tuple[Program, float, str]] = []
    keep_a_backlog()
    for number in range(ENDINGS):
        drain, moment = choose.choice([PATIENT, PATIENT, HURRIED]), MOMENTS[number % len(MOMENTS)]
        worker = running.worker("--drain-seconds", str(drain))
        come_to(moment, worker, choose)
        keep_a_backlog()
        asked = time.monotonic()
        status = worker.end(seconds=drain + GIVE_BACK_SECONDS + 5)
        took = time.monotonic() - asked

        # then it ends well and in time, in nobody's hand is anything, and it has said what it gave back
        assert status == 0, (moment, worker.log.read_text()[-2000:])
        assert took < drain + GIVE_BACK_SECONDS, (moment, took)
        assert running.queue.backlog().leased == 0, moment
        assert "Traceback" not in worker.log.read_text(), worker.log
        assert not worker.records("ended by force")
        ended.append((worker, drain, moment))
        print(f"{number:2} {moment:12} drain {drain:4.0f} s: ended in {took:5.2f} s, took {taken(worker)} files")

    # and the rest is done
    last = running.worker("--until-idle", "0.5")
    assert last.process.wait(120) == 0, last.log.read_text()
    assert publisher.end() == 0
    assert running.backlog() == 0
    assert [(r.source.name, r.status) for r in running.receipts()] == [(name, Status.SCORED) for name in dropped]
    expected = undisturbed(running.registry, model_cache, "1", dict(list(dropped.items())[: len(contents)]))
    for number, name in enumerate(dropped):
        assert running.output(name) == list(expected.values())[number % len(contents)], name

    # and nobody was given a file twice, and none came again but from a worker that was ended with it in its hands
    workers = [worker for worker, _, _ in ended]
    for worker in (*workers, last):
        assert max(deliveries([worker]).values(), default=0) <= 1, worker.log
    comings = deliveries([*workers, last])
    again = sum(comings.values()) - len(dropped)
    in_hand = [record["in_hand"] for worker in workers for record in worker.records("draining")]
    print(f"{len(dropped)} files, {again} deliveries more than one each; in hand at the endings: {in_hand}")
    assert set(comings) == set(dropped)
    assert again <= sum(in_hand)
    assert sum(bool(taken(worker)) for worker in workers) >= ENDINGS // 2, "the workers were to be ended under load"
    assert not [record for worker in workers for record in worker.records("attempt failed")]


def come_to(moment: str, worker: Program, choose: random.Random) -> None:
    """Returns when the worker's life has come to a moment; the last two differ from time to time."""
    if moment == "importing":
        wait_for(lambda: hears_sigterm(worker), "a handler of SIGTERM", every=0.001)
    elif moment == "starting":
        wait_for(worker.scorers, "a scoring process", every=0.001)
    elif moment == "ready":
        worker.wait_for_log("worker ready")
    else:
        files = {"first file": 1, "some files": choose.randint(2, 6), "many files": choose.randint(10, 30)}[moment]
        wait_for(lambda: taken(worker) >= files, f"{files} files taken", every=0.001)


def hears_sigterm(program: Program) -> bool:
    """True once the process has a handler of its own for it."""
    with suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{program.pid}/status").read_text().splitlines():
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) >> (signal.SIGTERM - 1) & 1)
    return False


def taken(worker: Program) -> int:
    return len(worker.records("file taken"))


def deliveries(workers: list[Program]) -> Counter[str]:
    """How often each file came to these workers."""
    return Counter(record["file"] for worker in workers for record in worker.records("file taken"))


class Silent:
    """A server that takes every connection and never says a word."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self._connections: list[socket.socket] = []
        self.called = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self) -> str:
        return "{}:{}".format(*self._server.getsockname())

    def close(self) -> None:
        self._server.close()
        for connection in self._connections:
            connection.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                self._connections.append(self._server.accept()[0])
                self.called.set()


@pytest.fixture
def silent() -> Iterator[Silent]:
    with closing(Silent()) as server:
        yield server


@pytest.mark.parametrize(
    "what",
    [
        pytest.param("registry"),
        pytest.param("bucket", marks=pytest.mark.slow),
        pytest.param("queue", marks=pytest.mark.slow),
    ],
)
def test_ended_while_it_waits_for_something_that_never_answers(running: Running, silent: Silent, what: str) -> None:
    # given a worker that starts, and asks somebody who takes the call and says nothing
    options = {
        "registry": ("--mlflow-tracking-uri", f"http://{silent.address}"),
        "bucket": ("--bucket", "gs://somewhere"),
        "queue": ("--queue", "pubsub://some/where"),
    }[what]
    running._environment |= {
        "STORAGE_EMULATOR_HOST": f"http://{silent.address}",
        "PUBSUB_EMULATOR_HOST": silent.address,
    }
    worker = running.start("worker", "--processes", "1", *options)
    wait_for(silent.called.is_set, f"a call to the {what}")

    # when it is told to end
    asked = time.monotonic()
    status = worker.end(seconds=20)

    # then it does, at once: it has nothing in hand
    assert (status, time.monotonic() - asked < 3) == (0, True)
    assert worker.records("stopped while starting")
    assert "Traceback" not in worker.log.read_text()
    wait_for(lambda: not running_in(running.folder), "no process left")


def running_in(folder: Path) -> list[int]:
    """Process ids of those that work in a folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if os.readlink(entry / "cwd") == str(folder):
                found.append(int(entry.name))
    return found
