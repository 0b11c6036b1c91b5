"""A worker that stands still (swap, a suspended machine): another does its work, and its late write loses."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.waiting import wait_for
from ledger.names import Key, output_name
from ledger.receipt import Status
from tests.chaos.understudy import QUICK, Running, send, surveys, undisturbed


def test_a_stopped_worker_loses_its_lease_and_its_late_write(running: Running, model_cache: Path) -> None:
    # given a worker that is stopped, parent and scoring processes, in the middle of a file
    name, content = "big.csv", surveys(2, 100_000)["part 000.csv"]
    publisher, slow = running.publisher(), running.worker()
    running.ready(slow)
    generation = running.drop(name, content)
    running.stop_in_mid_file(slow, name)
    family = slow.family()
    for pid in family:
        send(pid, signal.SIGSTOP)

    # when another comes, and the lease of the first runs out
    other = running.worker()
    running.wait_until_done(1)
    [receipt] = running.receipts(name)
    before = os.stat(running.root / output_name(name))
    assert receipt.attempt == 2
    assert receipt.worker.endswith(f"-{other.pid}")

    # and the first wakes up and finishes
    for pid in family:
        send(pid, signal.SIGCONT)
    slow.wait_for_log("receipt stood already", file=name, generation=str(generation))

    # then nothing of what the other wrote has changed, and nothing of the first is left
    assert [program.end() for program in (slow, other, publisher)] == [0, 0, 0]
    assert running.receipts(name) == [receipt]
    assert receipt.status is Status.SCORED
    after = os.stat(running.root / output_name(name))
    assert (after.st_ino, after.st_mtime_ns, after.st_size) == (before.st_ino, before.st_mtime_ns, before.st_size)
    assert {name: running.output(name)} == undisturbed(running.registry, model_cache, "1", {name: content})
    assert running.left_behind() == []


@pytest.mark.slow
def test_a_file_that_takes_longer_than_its_lease_stays_its_workers(running: Running) -> None:
    # given a scoring process that stands still in the middle of a file, and another worker that waits for work
    name, content = "big.csv", surveys(2, 100_000)["part 000.csv"]
    policy = replace(QUICK, lease=8.0)
    running.set_policy(policy)
    publisher, slow = running.publisher(), running.worker()
    running.ready(slow)
    running.drop(name, content)
    scorer = running.stop_in_mid_file(slow, name)
    other = running.worker()
    running.ready(other)

    # when its lease would have run out long ago, had the parent not extended it again and again
    first_due = running.lease_ends()
    assert first_due is not None
    wait_for(lambda: (running.lease_ends() or 0) > first_due + 2 * policy.lease, "a lease that is extended")
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
    old, new = surveys(2, 100_000).values()
    publisher, slow = running.publisher(), running.worker()
    running.ready(slow)
    first = running.drop(name, old)
    running.stop_in_mid_file(slow, name)
    family = slow.family()
    for pid in family:
        send(pid, signal.SIGSTOP)

    # when the file is replaced, another worker does both, and the first wakes up
    second = running.drop(name, new)
    other = running.worker()
    running.wait_until_done(2)
    for pid in family:
        send(pid, signal.SIGCONT)
    slow.wait_for_log("receipt stood already", file=name, generation=str(first))

    # then the newest content's output stands
    assert [program.end() for program in (slow, other, publisher)] == [0, 0, 0]
    assert [(r.key, r.status) for r in running.receipts(name)] == [
        (Key(name, first), Status.SUPERSEDED),
        (Key(name, second), Status.SCORED),
    ]
    assert {name: running.output(name)} == undisturbed(running.registry, model_cache, "1", {name: new})
    assert running.left_behind() == []
