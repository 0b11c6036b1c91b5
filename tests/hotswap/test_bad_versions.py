"""Versions that must not serve, or are slow to load: none serves where it should not, and files go on meanwhile."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest

from deploy.waiting import wait_for
from ledger.receipt import Status
from models.registry import PRODUCTION
from models.spec import GRAPH_FILE, SPEC_FILE
from tests.chaos.understudy import Program, Running
from tests.hotswap.load import Load, told
from tests.hotswap.registries import DatabaseRegistry, version_files
from tests.unit.registered import graph, mlmodel, pins
from tests.worker_fixtures import slowed

SLOW_SECONDS = 60.0  # of a processor, that a version needs to be loaded
WINDOW = 20.0  # seconds, for a rate


def bad_versions() -> dict[str, tuple[dict[str, bytes], dict[str, str]]]:
    """What must never serve: its files and tags, by what is said about it."""
    good = version_files(2.0)
    broken = {**good, GRAPH_FILE: good[GRAPH_FILE][:200]}
    signature = {"inputs": json.dumps([{"name": "length", "type": "double"}])}
    example = {"inputs": {"length": [1.0]}, "labels": ["satisfied"], "probabilities": [[0.0, 1.0]]}
    metadata = {"understudy": {"classes": ["neutral", "satisfied"], "example": example}}
    unfitting = {**good, SPEC_FILE: mlmodel(signature=signature, metadata=metadata)}
    failing = {**good, GRAPH_FILE: graph(-1.0)}
    return {
        "onnxruntime refuses its graph": (broken, pins(broken)),
        "was changed after it was registered": (good, pins(version_files(3.0))),
        "name different inputs: distance, length": (unfitting, pins(unfitting)),
        "scores its own input example otherwise": (failing, pins(failing)),
    }


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_no_bad_version_serves_and_none_slows_the_files(
    following: Callable[[str], Running], database: DatabaseRegistry
) -> None:
    # given a worker under a steady load
    first = database.register(version_files(1.0))
    database.move(PRODUCTION, first)
    bad = {reason: database.register(files, tags) for reason, (files, tags) in bad_versions().items()}
    files = {**version_files(2.0), GRAPH_FILE: slowed(graph(2.0), SLOW_SECONDS)}
    slow = database.register(files)
    running = following(database.uri)
    worker = running.worker("--shadow-fraction", "0")
    running.ready(worker)
    with told("bad versions") as figures, Load(running, rows=20_000, ahead=100, published=True) as load:
        wait_for(lambda: running.count_receipts() >= 40, "a load that is under way")
        started = time.time()
        wait_for(lambda: time.time() - started >= WINDOW, "a while of it")
        figures["before"] = before = load.rate(started, started + WINDOW)

        # when the alias names each version that must not serve, again and again
        tried, turns = time.time(), 0
        while time.time() - tried < WINDOW:
            for reason, version in bad.items():
                database.move(PRODUCTION, version)
                wait_for(lambda: times(worker, "version refused", version) > turns, f"{version} refused")  # noqa: B023
                refused = worker.records("version refused", version=version)[-1]
                assert reason in refused["error"]
                assert refused["consequence"].endswith(f"version {first} goes on serving")
            turns += 1
        figures["while four are refused"] = during = load.rate(tried, time.time())
        figures["longest gap"] = gap = load.longest_gap(started, time.time())

        # and then one that takes long to load
        loading = time.time()
        database.move(PRODUCTION, slow)
        in_force = worker.wait_for_log("version in force", seconds=1500.0, version=slow)
        loaded = time.time()
        figures["seconds until in force"] = in_force["seconds"]
        figures["while one loads"] = beside = load.rate(loading, loaded)
        figures["longest gap while one loads"] = slow_gap = load.longest_gap(loading, loaded)
        wait_for(lambda: time.time() - loaded >= WINDOW, "a while without a swap")
        figures["after"] = after = load.rate(loaded, loaded + WINDOW)
        count = load.stop()
    running.wait_until_done(count)

    # then files went on, at nearly the same rate: that of the moment counts, since others share this machine (and
    # windows of a few seconds say nothing here)
    assert max(gap, slow_gap) < 2.0
    assert min(during, beside) >= 0.7 * min(before, after)

    # and nothing but the good version served before the slow one, and that from there on
    assert worker.end() == 0
    receipts = running.receipts()
    assert {receipt.status for receipt in receipts} == {Status.SCORED}
    assert not worker.records("attempt failed")
    by_finish = sorted(receipts, key=lambda receipt: receipt.finished)
    served = [receipt.model.version for receipt in by_finish if receipt.model]
    assert len(served) == count
    assert set(served) == {first, slow}
    assert served[-1] == slow
    assert served == sorted(served, key=int), "a file after the swap went to the version before it"
    # each was tried once whenever the alias had moved to it, and never in between
    assert [times(worker, "version refused", version) for version in bad.values()] == [turns] * len(bad)
    assert [times(worker, "version in force", version) for version in bad.values()] == [0] * len(bad)
    assert (times(worker, "version refused", slow), times(worker, "version in force", slow)) == (0, 1)


def times(worker: Program, event: str, version: str) -> int:
    return len(worker.records(event, version=version))
