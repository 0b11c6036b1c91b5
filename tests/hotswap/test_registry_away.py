"""The registry killed, hanging or talking nonsense, at work and at the start: files go on, and the worker can end."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.waiting import wait_for
from models.registry.client import PRODUCTION, STAGING
from tests.chaos.understudy import Program, Running
from tests.contract.fault_proxy import Fault, FaultProxy, Request
from tests.hotswap.load import Load
from tests.hotswap.registries import DatabaseRegistry, ServedRegistry, version_files
from tests.unit.registered import MODEL

FAULTS = {
    "503": Fault("status"),
    "connections cut": Fault("reset"),
    "a hang": Fault("stall"),
    "half an answer": Fault("cut", at=40),
}


def about_the_model(fault: Fault) -> Callable[[Request], Fault | None]:
    return lambda request: fault if "registered-models/get" in request.path else None


def about_files(fault: Fault) -> Callable[[Request], Fault | None]:
    return lambda request: fault if "model.onnx" in request.path else None


def versions_used(running: Running) -> set[str]:
    return {receipt.model.version for receipt in running.receipts() if receipt.model}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_registry_killed_at_work_and_at_the_start_stops_nobody(
    following: Callable[[str], Running], registry: DatabaseRegistry | ServedRegistry
) -> None:
    # given a worker under load and a registry with a version in staging too
    first, second = (registry.register(version_files(weight)) for weight in (1.0, 2.0))
    registry.move(PRODUCTION, first)
    registry.move(STAGING, second)
    running = following(registry.uri)
    publisher, worker = running.publisher(), running.worker()
    running.ready(worker)
    with Load(running, rows=400, ahead=5) as load:
        wait_for(lambda: running.count_receipts() >= 20, "a load that is under way")

        # when the registry is killed
        registry.go_away()
        worker.wait_for_log("registry unreachable")
        seen = running.count_receipts()
        wait_for(lambda: running.count_receipts() >= seen + 40, "many files without a registry")

        # and another worker starts while it is away
        other = running.worker()
        starting = other.wait_for_log("starting from the cache", alias=PRODUCTION)
        running.ready(other)
        assert starting["version"] == first
        assert other.wait_for_log("version in force", alias=STAGING)["version"] == second

        # and it comes back with another version in production
        registry.come_back()
        registry.move(PRODUCTION, second)
        for program in (worker, other):
            program.wait_for_log("version in force", alias=PRODUCTION, version=second)
        seen = running.count_receipts()
        wait_for(lambda: running.count_receipts() >= seen + 40, "files after the swap")
        count = load.stop()
    running.wait_until_done(count)

    # then files went on all the time, with the right version
    assert [worker.end(), other.end(), publisher.end()] == [0, 0, 0]
    assert versions_used(running) == {first, second}
    assert not worker.records("attempt failed") + other.records("attempt failed")


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_registry_that_answers_badly_delays_nobody(
    following: Callable[[str], Running], served: ServedRegistry
) -> None:
    # given a worker under load
    versions = [served.register(version_files(weight)) for weight in (1.0, 2.0)]
    served.move(PRODUCTION, versions[0])
    with FaultProxy(served.uri) as proxy:
        running = following(proxy.url)
        publisher, worker = running.publisher(), running.worker("--shadow-fraction", "0")
        running.ready(worker)
        with Load(running, rows=400, ahead=5) as load:
            wait_for(lambda: running.count_receipts() >= 20, "a load that is under way")
            for turn, fault in enumerate(FAULTS.values()):
                serves, wanted = versions[turn % 2], versions[1 - turn % 2]

                # when the registry's answers about the model turn bad
                proxy.plan = about_the_model(fault)
                wait_for(lambda: times(worker, "registry unreachable") > turn, "the trouble in the log")  # noqa: B023

                # and then, for another version that is wanted, those about its files
                shutil.rmtree(running.folder / "cache" / MODEL)
                proxy.plan = about_files(fault)
                served.move(PRODUCTION, wanted)
                wait_for(lambda: times(worker, "version not fetched") > turn, "the trouble in the log")  # noqa: B023
                seen = running.count_receipts()
                wait_for(lambda: running.count_receipts() >= seen + 20, "files without the version")  # noqa: B023
                last = max(running.receipts(), key=lambda receipt: receipt.finished)
                assert last.model is not None
                assert last.model.version == serves

                # then it is had as soon as they are good again
                swaps = times(worker, "version in force")
                proxy.plan = lambda _request: None
                wait_for(lambda: times(worker, "version in force") > swaps, "the swap")  # noqa: B023
            count = load.stop()
        running.wait_until_done(count)
    assert [worker.end(), publisher.end()] == [0, 0]
    assert not worker.records("attempt failed")


def times(worker: Program, event: str) -> int:
    return len(worker.records(event))


class ForAsLongAsItTakes(threading.Event):
    """Whoever waits for it with a time-out waits all the same."""

    def wait(self, timeout: float | None = None) -> bool:
        return super().wait()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_download_that_never_ends_holds_up_neither_files_nor_the_end(
    following: Callable[[str], Running], served: ServedRegistry
) -> None:
    first, second = (served.register(version_files(weight)) for weight in (1.0, 2.0))
    served.move(PRODUCTION, first)
    with FaultProxy(served.uri) as proxy:
        proxy.released = ForAsLongAsItTakes()
        # given a worker that is more patient than this test, with the registry and at its own end; and a registry that
        # never sends the file it begins to
        running = following(proxy.url)
        running.environment |= {"MLFLOW_HTTP_REQUEST_TIMEOUT": "3600", "UNDERSTUDY_DRAIN_SECONDS": "3600"}
        publisher, worker = running.publisher(), running.worker()
        running.ready(worker)
        seen = len(proxy.requests)
        proxy.plan = about_files(Fault("stall"))
        served.move(PRODUCTION, second)
        wait_for(lambda: any("model.onnx" in request.path for request in proxy.requests[seen:]), "a download")

        # then files are scored meanwhile
        running.drop("a.csv", b"id,distance\n1,2\n")
        running.wait_until_done(1)
        assert versions_used(running) == {first}

        # and the worker ends when it is told to, as does one that starts and only hears nothing: while they wait for it
        started = running.worker()
        started.wait_for_log("starting from the cache")
        running.ready(started)
        assert [worker.end(), started.end(), publisher.end()] == [0, 0, 0]
        assert not proxy.released.is_set()
        assert not worker.records("ended by force") + started.records("ended by force")
        assert worker.records("registry still asked")
        assert started.records("registry still asked")


@pytest.mark.slow
def test_with_an_empty_cache_a_worker_says_what_it_waits_for_and_goes_on_when_it_comes(
    following: Callable[[str], Running], database: DatabaseRegistry
) -> None:
    # given no database where one should be
    first = database.register(version_files(1.0))
    database.set_aside()
    running = following(database.uri)
    publisher, worker = running.publisher(), running.worker()
    running.drop("a.csv", b"id,distance\n1,2\n")
    waiting = worker.wait_for_log("waiting for a production version")
    assert "no registry at" in waiting["reason"]
    assert str(running.folder / "cache") in waiting["cache"]

    # when it is there, but has no production version
    database.bring_back()
    told_next = wait_for(
        lambda: [entry for entry in waits(worker) if "no version of the model has the alias" in entry["reason"]],
        "the next thing that it waits for",
    )
    assert told_next[0]["model"] == MODEL

    # and when that is there too
    database.move(PRODUCTION, first)
    running.ready(worker)
    running.wait_until_done(1)
    assert versions_used(running) == {first}
    assert [worker.end(), publisher.end()] == [0, 0]


def waits(worker: Program) -> list[dict[str, str]]:
    return worker.records("waiting for a production version")


@pytest.mark.slow
def test_staging_absent_or_production_s_own_gives_no_shadow_and_no_error(
    following: Callable[[str], Running], database: DatabaseRegistry, tmp_path: Path
) -> None:
    # given no staging version, then production's
    first = database.register(version_files(1.0))
    database.move(PRODUCTION, first)
    running = following(database.uri)
    publisher, worker = running.publisher(), running.worker()
    running.ready(worker)
    running.drop("a.csv", b"id,distance\n1,2\n")
    running.wait_until_done(1)
    database.move(STAGING, first)
    worker.wait_for_log("version in force", alias=STAGING)
    running.drop("b.csv", b"id,distance\n1,2\n")
    running.wait_until_done(2)

    # then there is neither a shadow nor a word of it
    assert not list(running.bucket.objects("output/shadow/")) + list(running.bucket.objects("output/comparisons/"))
    assert [worker.end(), publisher.end()] == [0, 0]
    assert not [entry for entry in worker.records() if entry.get("severity") in ("WARNING", "ERROR")]
