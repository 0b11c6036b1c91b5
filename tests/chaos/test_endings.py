"""SIGTERM and Ctrl-C at any moment of a worker's life: exit 0, nothing lost, nothing done twice, nothing waited for.

How long an ending takes is measured in tests/measure/measure_endings.py.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from deploy.waiting import wait_for
from ledger.receipt import Status
from tests.chaos.silent import Silent
from tests.chaos.understudy import Program, Running, big, surveys, undisturbed
from tests.worker_fixtures import alive

PATIENT, HURRIED = 20.0, 0.0  # seconds to drain in: enough for everything in hand, and for nothing
UNDER_LOAD = {"first file": 1, "some files": 3, "many files": 8}  # files taken, before it is told to end
ENDINGS = (
    *((moment, drain) for drain in (PATIENT, HURRIED) for moment in UNDER_LOAD),
    *((moment, PATIENT) for moment in ("importing", "starting", "ready")),
)
PATIENCE = "import worker.processes.ending; worker.processes.ending.GIVE_BACK_SECONDS = 90.0"
"""Beyond its drain time a worker is ended by force, after 5 seconds: on a slow machine that says nothing of it."""


@pytest.fixture
def patient(running: Running) -> Running:
    """Its workers are ended by force only where they hang."""
    folder = running.folder / "patience"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(PATIENCE)  # Python runs this first
    running.path.insert(0, folder)
    return running


@pytest.mark.parametrize(
    "in_time",
    [pytest.param(True, id="time to finish"), pytest.param(False, id="no time at all", marks=pytest.mark.slow)],
)
@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGTERM, id="SIGTERM"),
        pytest.param(signal.SIGINT, id="Ctrl-C", marks=[pytest.mark.slow, pytest.mark.nightly]),
    ],
)
def test_ended_under_load_a_worker_loses_nothing(
    patient: Running, model_cache: Path, number: signal.Signals, in_time: bool
) -> None:
    # given a worker that has done some files, and is in the middle of one and has another in hand, of many
    running = patient
    files = {"big.csv": big(), **surveys(8, 200)}
    small = sorted(surveys(8, 200))
    for name, content in files.items():
        running.drop(name, content)
    worker = running.worker("--drain-seconds", "600" if in_time else "0")
    publish(running, small[:2])
    running.wait_until_done(2)
    publish(running, ["big.csv"])
    scorer = running.stop_in_mid_file(worker, "big.csv")
    publish(running, small[2:])
    wait_for(lambda: taken(worker) == 4, "two files in hand")

    # when it is told to end: by SIGTERM to itself, or by Ctrl-C, which reaches its whole process group
    if number == signal.SIGTERM:
        worker.kill(number)
    else:
        os.killpg(worker.pid, number)
    assert worker.wait_for_log("draining")["in_hand"] == 2

    # then, with time, it waits for what is in hand, and without ends while that stands still: with 0 either way
    if in_time:
        assert worker.process.poll() is None
        os.kill(scorer, signal.SIGCONT)
    assert worker.status() == 0, worker.log.read_text()
    assert not alive(scorer)
    done = running.receipts()
    assert {receipt.source.name for receipt in done} == {*small[:2], *(("big.csv", small[2]) if in_time else ())}
    # and it holds nothing: what is left can be taken at once
    backlog = running.queue.backlog()
    assert (backlog.leased, backlog.dead) == (0, 0)
    assert len(done) + (backlog.waiting or 0) >= len(files)
    assert not worker.records("attempt failed")
    assert not worker.records("ended by force")
    assert "Traceback" not in worker.log.read_text()

    # and another one does the rest, with nothing left behind
    running.do_the_rest()
    assert [(r.source.name, r.status) for r in running.receipts()] == [(name, Status.SCORED) for name in sorted(files)]
    assert all(receipt in running.receipts() for receipt in done)
    assert {name: running.output(name) for name in files} == undisturbed(running.registry, model_cache, "1", files)
    running.next_pass()
    assert running.backlog() == 0
    assert running.left_behind() == []


def publish(running: Running, names: list[str]) -> None:
    running.queue.publish([running.event(name).to_message() for name in names])


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_ended_again_and_again_under_load_each_message_comes_at_most_once_more(
    patient: Running, model_cache: Path
) -> None:
    # given a publisher, and always more files than the workers have done
    running, contents = patient, list(surveys(10, 200).values())
    publisher = running.publisher()
    dropped: dict[str, bytes] = {}

    def keep_a_backlog(least: int = 24) -> None:
        while len(dropped) - running.count_receipts() < least:
            name = f"part {len(dropped):04}.csv"
            dropped[name] = contents[len(dropped) % len(contents)]
            running.drop(name, dropped[name])

    # when one worker after the other is told to end, at moments that differ
    workers: list[Program] = []
    keep_a_backlog()
    for moment, drain in ENDINGS:
        worker = running.worker("--drain-seconds", str(drain), by_exec=moment == "importing")
        come_to(moment, worker)
        keep_a_backlog()

        # then it ends well, and by itself; in nobody's hand is anything
        assert worker.end() == 0, (moment, worker.log.read_text()[-2000:])
        assert not worker.records("ended by force"), moment
        assert running.queue.backlog().leased == 0, moment
        assert "Traceback" not in worker.log.read_text(), worker.log
        workers.append(worker)
        print(f"{moment:12} drain {drain:4.0f} s: took {taken(worker)} files")

    # and the rest is done
    wait_for(lambda: len(publisher.records("published")) == len(dropped), "every file published")
    last = running.do_the_rest()
    assert publisher.end() == 0
    assert running.backlog() == 0
    assert [(r.source.name, r.status) for r in running.receipts()] == [(name, Status.SCORED) for name in dropped]
    expected = undisturbed(running.registry, model_cache, "1", dropped)
    assert {name: running.output(name) for name in dropped} == expected

    # and nobody was given a file twice, and none came again but from a worker that was ended with it in its hands
    for worker in (*workers, last):
        assert max(deliveries([worker]).values(), default=0) <= 1, worker.log
    comings = deliveries([*workers, last])
    again = sum(comings.values()) - len(dropped)
    in_hand = [record["in_hand"] for worker in workers for record in worker.records("draining")]
    print(f"{len(dropped)} files, {again} deliveries more than one each; in hand at the endings: {in_hand}")
    assert set(comings) == set(dropped)
    assert again <= sum(in_hand)
    assert sum(bool(taken(worker)) for worker in workers) >= 2 * len(UNDER_LOAD), "they were to be ended under load"
    assert not [record for worker in workers for record in worker.records("attempt failed")]


def come_to(moment: str, worker: Program) -> None:
    """Returns when the worker's life has come to a moment."""
    if moment == "importing":
        wait_for(lambda: hears_sigterm(worker), "a handler of SIGTERM", every=0.001)
    elif moment == "starting":
        wait_for(worker.scorers, "a scoring process", every=0.001)
    elif moment == "ready":
        worker.wait_for_log("worker ready")
    else:
        wait_for(lambda: taken(worker) >= UNDER_LOAD[moment], moment, every=0.001)


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
    running.environment |= {
        "STORAGE_EMULATOR_HOST": f"http://{silent.address}",
        "PUBSUB_EMULATOR_HOST": silent.address,
    }
    running.environment["MLFLOW_HTTP_REQUEST_TIMEOUT"] = "600"  # nobody gives up asking meanwhile
    worker = running.start("worker", "--processes", "1", *options)
    wait_for(silent.called.is_set, f"a call to the {what}")

    # when it is told to end
    status = worker.end()

    # then it does, though it still has no answer: that is the last that it says, and it waits for nothing
    assert status == 0
    assert [record["message"] for record in worker.records()][-1] == "stopped while starting"
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
