"""A worker that stands still (swap, a suspended machine): another does its work, and its late write loses."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.waiting import wait_for
from ledger.names import Key, output_name
from ledger.receipt import Status
from tests.chaos.processes import send
from tests.chaos.understudy import STEADY, Running, big, undisturbed


@pytest.mark.slow
def test_a_stopped_worker_loses_its_lease_and_its_late_write(running: Running, model_cache: Path) -> None:
    # given a worker that is stopped, parent and scoring processes, in the middle of a file
    name, content = "big.csv", big()
    publisher, slow = running.publisher(), running.worker()
    running.ready(slow)
    generation = running.drop(name, content)
    running.stop_in_mid_file(slow, name)
    family = slow.family()
    for pid in family:
        send(pid, signal.SIGSTOP)

    # when another comes, and the lease of the first runs out
    other = running.worker()
    running.ready(other)
    assert not other.records("file taken")
    running.let_leases_run_out()
    running.wait_until_done(1)
    [receipt] = running.receipts(name)
    before = os.stat(running.root / output_name(name))
    assert receipt.attempt == 2
    assert receipt.worker.endswith(f"-{other.pid}")

    # and the first wakes up and finishes, while no publisher tidies up behind it
    assert publisher.end() == 0
    for pid in family:
        send(pid, signal.SIGCONT)
    slow.wait_for_log("receipt stood already", file=name, generation=str(generation))

    # then nothing of what the other wrote has changed, and nothing of the first is left
    assert [program.end() for program in (slow, other)] == [0, 0]
    assert running.receipts(name) == [receipt]
    assert receipt.status is Status.SCORED
    after = os.stat(running.root / output_name(name))
    assert (after.st_ino, after.st_mtime_ns, after.st_size) == (before.st_ino, before.st_mtime_ns, before.st_size)
    assert {name: running.output(name)} == undisturbed(running.registry, model_cache, "1", {name: content})
    assert running.left_behind() == []


@pytest.mark.slow
def test_a_file_that_takes_longer_than_its_lease_stays_its_workers(running: Running) -> None:
    # given a scoring process that stands still in the middle of a file, and another worker that waits for work
    name, content = "big.csv", big()
    running.set_policy(replace(STEADY, lease=12.0))
    publisher, slow = running.publisher(), running.worker("--shadow-fraction", "0")
    running.ready(slow)
    running.drop(name, content)
    scorer = running.stop_in_mid_file(slow, name)
    other = running.worker()
    running.ready(other)

    # when its lease would have run out, had the parent not extended it again and again
    given = running.lease_ends()
    assert given is not None
    wait_for(lambda: time.time() > given, "the end of the lease as it was given")
    assert (running.lease_ends() or 0) > given
    send(scorer, signal.SIGCONT)

    # then it was never given to the other
    running.wait_until_done(1)
    assert [program.end() for program in (slow, other, publisher)] == [0, 0, 0]
    [receipt] = running.receipts(name)
    assert (receipt.status, receipt.attempt) == (Status.SCORED, 1)
    assert len(slow.records("file taken")) == 1
    assert not other.records("file taken")


@pytest.mark.slow
def test_a_late_write_never_replaces_that_of_a_newer_content(running: Running, model_cache: Path) -> None:
    # given a worker that is stopped, parent and scoring processes, in the middle of a file
    name = "big.csv"
    old, new = big(), big(seed=8)
    publisher, slow = running.publisher(), running.worker("--shadow-fraction", "0")
    running.ready(slow)
    first = running.drop(name, old)
    running.stop_in_mid_file(slow, name)
    family = slow.family()
    for pid in family:
        send(pid, signal.SIGSTOP)

    # when the file is replaced, another worker does both, and the first wakes up (and no publisher tidies up behind it)
    second = running.drop(name, new)
    other = running.worker("--shadow-fraction", "0")
    running.let_leases_run_out()
    running.wait_until_done(2)
    assert publisher.end() == 0
    for pid in family:
        send(pid, signal.SIGCONT)
    slow.wait_for_log("receipt stood already", file=name, generation=str(first))

    # then the newest content's output stands
    assert [program.end() for program in (slow, other)] == [0, 0]
    assert [(r.key, r.status) for r in running.receipts(name)] == [
        (Key(name, first), Status.SUPERSEDED),
        (Key(name, second), Status.SCORED),
    ]
    assert {name: running.output(name)} == undisturbed(running.registry, model_cache, "1", {name: new})
    assert running.left_behind() == []
