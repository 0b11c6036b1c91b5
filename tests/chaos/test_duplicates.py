"""Messages come twice, to two workers at once: one receipt, one output, and never a second write."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from deploy.waiting import wait_for
from ledger.names import output_name
from ledger.receipt import Status
from tests.chaos.understudy import Running, surveys, undisturbed


@pytest.mark.slow
def test_an_event_published_five_times_has_one_receipt_and_one_output(running: Running, model_cache: Path) -> None:
    # given two workers that wait for messages, and files whose events come five times each, in any order
    files = surveys(12, 300)
    for name, content in files.items():
        running.drop(name, content)
    messages = [running.event(name).to_message() for name in files for _ in range(5)]
    random.Random(5).shuffle(messages)
    workers = [running.worker(), running.worker()]
    running.ready(*workers)

    # when all are published, and every output is looked at from its first moment on
    running.queue.publish(messages)
    seen: dict[str, set[tuple[int, ...]]] = {name: set() for name in files}

    def look() -> bool:
        for name in files:
            path = running.root / output_name(name)
            if path.exists():
                status = path.stat()
                seen[name].add((status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size))
        return running.backlog() == 0

    wait_for(look, "an empty queue", every=0.002)
    before = [receipt.to_json() for receipt in running.receipts()]

    # and once more after the fact, until both have had a part in it
    def again() -> bool:
        running.queue.publish(messages)
        wait_for(look, "an empty queue", every=0.002)
        return all(worker.records("file taken") for worker in workers)

    wait_for(again, "both workers taking files")

    # then each file has one receipt and one output, which was written once and is what one scoring gives
    assert all(worker.end() == 0 for worker in workers)
    assert [(r.source.name, r.status) for r in running.receipts()] == [(name, Status.SCORED) for name in files]
    assert [receipt.to_json() for receipt in running.receipts()] == before
    assert {name: len(states) for name, states in seen.items()} == dict.fromkeys(files, 1)
    assert {name: running.output(name) for name in files} == undisturbed(running.registry, model_cache, "1", files)
    assert running.left_behind() == []
