"""A worker with two challengers: each follows its alias, and one that a killed worker left out is made up for."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from typing import Any

import pytest

from deploy.waiting import wait_for
from ledger.names import ShadowKey
from models.registry.client import PRODUCTION, STAGING
from tests.chaos.processes import send
from tests.chaos.understudy import Program, Running, undisturbed
from tests.hotswap.load import survey
from tests.hotswap.registries import DatabaseRegistry, version_files
from tests.hotswap.test_bad_versions import bad_versions
from tests.unit.registered import MODEL
from transport.bucket import get
from transport.event import Generation

SECOND = "staging-2"
BIG = 400_000  # rows: long enough for a process to be stopped while another reads them


def record(running: Running, name: str, generation: Generation, alias: str) -> dict[str, Any]:
    """The comparison of a file with the challenger of an alias."""
    key = ShadowKey(name, generation, "" if alias == STAGING else alias)
    found: dict[str, Any] = json.loads(get(running.bucket, key.comparison))
    return found


def compared_with(running: Running, name: str, generation: Generation, alias: str) -> str:
    """The version whose shadow that was."""
    return str(record(running, name, generation, alias)["pair"]["staging"]["version"])


@pytest.mark.slow
def test_a_further_challenger_is_swapped_like_staging_and_a_bad_one_harms_nobody(
    following: Callable[[str], Running], database: DatabaseRegistry
) -> None:
    # given production, staging, and a staging-2 that cannot serve
    first, second, third, fourth = (database.register(version_files(weight)) for weight in (1.0, 2.0, 3.0, 4.0))
    bad = database.register(*next(iter(bad_versions().values())))
    for alias, version in ((PRODUCTION, first), (STAGING, second), (SECOND, bad), ("staging-3", fourth)):
        database.move(alias, version)
    running = following(database.uri)
    publisher, worker = running.publisher(), running.worker("--shadow-versions", "2")
    running.ready_with_shadow(worker)
    worker.wait_for_log("version refused", alias=SECOND, version=bad)
    content = survey(50)
    generation = running.drop("a.csv", content)
    running.wait_until_done(1)

    # then the others go on without it, and an alias too many is told
    assert compared_with(running, "a.csv", generation, STAGING) == second
    assert not list(running.bucket.objects("output/comparisons-of/"))
    assert len(worker.records("alias not followed", alias="staging-3")) == 1

    # when the alias moves to one that can, and to another
    for name, version in (("b.csv", third), ("c.csv", fourth)):
        database.move(SECOND, version)
        worker.wait_for_log("version in force", alias=SECOND, version=version)
        generation = running.drop(name, content)
        wait_for(lambda: running.output(name) is not None and running.backlog() == 0, "the file")  # noqa: B023

        # then each file has it in its shadow, beside staging
        assert compared_with(running, name, generation, STAGING) == second
        assert compared_with(running, name, generation, SECOND) == version
        shadow = get(running.bucket, ShadowKey(name, generation, SECOND).shadow)
        cache = running.folder / "cache"
        assert shadow == undisturbed(database.uri, cache, version, {name: content})[name]
        assert running.output(name) == undisturbed(database.uri, cache, first, {name: content})[name]

    # and when it names staging's version, or none, that is scored once
    for version in (second, None):
        if version:
            database.move(SECOND, version)
            worker.wait_for_log("version in force", alias=SECOND, version=version)
        else:
            database.client.delete_registered_model_alias(MODEL, SECOND)
            worker.wait_for_log("no staging version", alias=SECOND)
        name = f"d{version}.csv"
        generation = running.drop(name, content)
        wait_for(lambda: running.output(name) is not None and running.backlog() == 0, "the file")  # noqa: B023
        assert compared_with(running, name, generation, STAGING) == second
        assert running.bucket.stat(ShadowKey(name, generation, SECOND).comparison) is None
    assert [worker.end(), publisher.end()] == [0, 0]
    assert not worker.records("shadow failed")


@pytest.mark.slow
def test_a_worker_killed_between_two_shadows_leaves_the_missing_one_to_the_next(
    following: Callable[[str], Running], database: DatabaseRegistry
) -> None:
    versions = [database.register(version_files(weight)) for weight in (1.0, 2.0, 3.0)]
    for alias, version in zip((PRODUCTION, STAGING, SECOND), versions, strict=True):
        database.move(alias, version)
    running = following(database.uri)
    publisher, worker = running.publisher(), two_challengers(running)

    # given a file whose two shadows' processes stand still, of which one goes on
    name = "big.csv"
    generation = running.drop(name, survey(BIG))
    reads = wait_for(lambda: worker.scorer_with(running.root / name), "a process that reads", every=0.001)
    shadows = [pid for pid in worker.scorers() if pid != reads]
    assert len(shadows) == 2
    for pid in shadows:
        send(pid, signal.SIGSTOP)
    key = ShadowKey(name, generation)
    assert not (running.root / key.receipt).exists(), "they were to be stopped while production reads"
    wait_for((running.root / key.receipt).exists, "the receipt")
    send(shadows[0], signal.SIGCONT)
    worker.wait_for_log("shadow compared")
    [done] = [log["alias"] for log in worker.records("shadow compared")]
    [missing] = {STAGING, SECOND} - {done}
    before = record(running, name, generation, done)

    # when the worker is killed, and another takes its place
    worker.kill()
    worker.process.wait()
    send(shadows[1], signal.SIGKILL)
    running.let_leases_run_out()
    other = two_challengers(running)
    running.wait_until_done(1)

    # then it makes up for the missing one alone
    assert [log["alias"] for log in other.records("shadow compared")] == [missing]
    assert compared_with(running, name, generation, missing) == versions[1 if missing == STAGING else 2]
    assert record(running, name, generation, done) == before
    assert not other.records("shadow failed")
    assert [other.end(), publisher.end()] == [0, 0]


def two_challengers(running: Running) -> Program:
    """A worker that has both in force."""
    worker = running.worker("--shadow-versions", "2")
    running.ready_with_shadow(worker)
    worker.wait_for_log("version in force", alias=SECOND)
    return worker
