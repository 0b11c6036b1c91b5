"""Versions that must not serve, or are slow to load: none serves where it should not, and files go on meanwhile."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Callable

import pytest

from deploy.waiting import wait_for
from ledger.receipt import Status
from models.registry.client import PRODUCTION
from models.registry.spec import GRAPH_FILE, SPEC_FILE
from tests.chaos.understudy import Program, Running
from tests.hotswap.load import Load
from tests.hotswap.registries import DatabaseRegistry, version_files
from tests.unit.registered import graph, mlmodel, pins
from tests.worker_fixtures import slowed

SLOW_SECONDS = 4.0  # of a processor, that a version needs to be loaded: many times what a file needs
TURNS = 2


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


def slow_version(seconds: float) -> dict[str, bytes]:
    """A version that can serve, and takes so many seconds of a processor to be loaded."""
    return {**version_files(2.0), GRAPH_FILE: slowed(graph(2.0), seconds)}


@pytest.mark.slow
def test_no_bad_version_serves_and_files_go_on_while_one_loads(
    following: Callable[[str], Running], database: DatabaseRegistry
) -> None:
    # given a worker under a steady load
    first = database.register(version_files(1.0))
    database.move(PRODUCTION, first)
    bad = {reason: database.register(files, tags) for reason, (files, tags) in bad_versions().items()}
    slow = database.register(slow_version(SLOW_SECONDS))
    running = following(database.uri)
    worker = running.worker("--shadow-fraction", "0")
    running.ready(worker)
    with Load(running, rows=400, ahead=4, published=True) as load:
        wait_for(lambda: running.count_receipts() >= 10, "a load that is under way")

        # when the alias names each version that must not serve, again and again
        for turn in range(TURNS):
            for reason, version in bad.items():
                database.move(PRODUCTION, version)
                wait_for(lambda: times(worker, "version refused", version) > turn, f"{version} refused")  # noqa: B023
                refused = worker.records("version refused", version=version)[-1]
                assert reason in refused["error"]
                assert refused["consequence"].endswith(f"version {first} goes on serving")

        # and then one that takes long to load, whose trial stands still for a while
        scorers = set(worker.scorers())
        database.move(PRODUCTION, slow)
        [trial] = wait_for(lambda: set(worker.scorers()) - scorers, "a trial")
        os.kill(trial, signal.SIGSTOP)
        seen = running.count_receipts()
        wait_for(lambda: running.count_receipts() >= seen + 20, "files while a version is on trial")
        assert not worker.records("version in force", version=slow)
        os.kill(trial, signal.SIGCONT)

        # then files go on while it is loaded beside the one that serves, too
        while_tried = seen

        def trial_is_over() -> bool:
            nonlocal while_tried
            so_far, is_over = running.count_receipts(), trial not in worker.scorers()
            while_tried = while_tried if is_over else so_far
            return is_over

        wait_for(trial_is_over, "the end of the trial")
        worker.wait_for_log("version in force", version=slow)
        seen = running.count_receipts()
        wait_for(lambda: running.count_receipts() >= seen + 20, "files of the slow one")
        count = load.stop()
    running.wait_until_done(count)
    assert worker.end() == 0

    # and nothing but the good version served before the slow one, and that from there on
    receipts = running.receipts()
    assert {receipt.status for receipt in receipts} == {Status.SCORED}
    assert not worker.records("attempt failed")
    by_finish = sorted(receipts, key=lambda receipt: receipt.finished)
    served = [receipt.model.version for receipt in by_finish if receipt.model]
    assert len(served) == count
    assert set(served) == {first, slow}
    assert served[-1] == slow
    assert served == sorted(served, key=int), "a file after the swap went to the version before it"
    assert Counter(served)[first] >= while_tried + 5, "no files while it was loaded beside the one that serves"
    # each was tried once whenever the alias had moved to it, and never in between
    assert [times(worker, "version refused", version) for version in bad.values()] == [TURNS] * len(bad)
    assert [times(worker, "version in force", version) for version in bad.values()] == [0] * len(bad)
    assert (times(worker, "version refused", slow), times(worker, "version in force", slow)) == (0, 1)


def times(worker: Program, event: str, version: str) -> int:
    return len(worker.records(event, version=version))
