"""How long files and ends wait for a registry that is killed, answers badly, or never ends a download."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable

import pytest

from deploy.waiting import wait_for
from models.registry.client import PRODUCTION, STAGING
from tests.chaos.understudy import Running
from tests.contract.fault_proxy import Fault, FaultProxy
from tests.hotswap.conftest import database as database
from tests.hotswap.conftest import following as following
from tests.hotswap.conftest import registry as registry
from tests.hotswap.conftest import served as served
from tests.hotswap.load import Load
from tests.hotswap.registries import DatabaseRegistry, ServedRegistry, version_files
from tests.hotswap.test_registry_away import FAULTS, about_files, about_the_model, times
from tests.measure.figures import Figures
from tests.unit.registered import MODEL

GAP_SECONDS = 2.0


@pytest.mark.timeout(400)
def test_registry_killed(
    following: Callable[[str], Running], registry: DatabaseRegistry | ServedRegistry, figures: Figures
) -> None:
    # given a worker under load and a registry with a version in staging too
    first, second = (registry.register(version_files(weight)) for weight in (1.0, 2.0))
    registry.move(PRODUCTION, first)
    registry.move(STAGING, second)
    running = following(registry.uri)
    running.publisher()
    worker = running.worker()
    running.ready(worker)
    with Load(running, rows=2_000, ahead=100) as load:
        wait_for(lambda: running.count_receipts() >= 20, "a load that is under way")

        # when the registry is killed
        killed = time.time()
        registry.go_away()
        worker.wait_for_log("registry unreachable")
        seen = running.count_receipts()
        wait_for(lambda: running.count_receipts() >= seen + 100, "many files without a registry")
        figures.note("longest gap at work", load.longest_gap(killed, time.time()), "s", at_most=GAP_SECONDS)

        # and another worker starts while it is away
        started = time.monotonic()
        other = running.worker()
        running.ready(other)
        figures.note("until another worker is ready", time.monotonic() - started, "s")

        # and it comes back with another version in production
        registry.come_back()
        registry.move(PRODUCTION, second)
        for program in (worker, other):
            program.wait_for_log("version in force", alias=PRODUCTION, version=second)
        figures.note("longest gap", load.longest_gap(killed, time.time()), "s", at_most=GAP_SECONDS)


@pytest.mark.timeout(400)
def test_registry_answers_badly(following: Callable[[str], Running], served: ServedRegistry, figures: Figures) -> None:
    # given a worker under load
    versions = [served.register(version_files(weight)) for weight in (1.0, 2.0)]
    served.move(PRODUCTION, versions[0])
    with FaultProxy(served.uri) as proxy:
        running = following(proxy.url)
        running.publisher()
        worker = running.worker("--shadow-fraction", "0")
        running.ready(worker)
        with Load(running, rows=2_000, ahead=100) as load:
            wait_for(lambda: running.count_receipts() >= 20, "a load that is under way")
            for turn, (name, fault) in enumerate(FAULTS.items()):
                # when its answers turn bad, about the model and then about the files of another version
                began = time.time()
                proxy.plan = about_the_model(fault)
                wait_for(lambda: times(worker, "registry unreachable") > turn, "the trouble in the log")  # noqa: B023
                shutil.rmtree(running.folder / "cache" / MODEL)
                proxy.plan = about_files(fault)
                served.move(PRODUCTION, versions[1 - turn % 2])
                wait_for(lambda: times(worker, "version not fetched") > turn, "the trouble in the log")  # noqa: B023
                seen = running.count_receipts()
                wait_for(lambda: running.count_receipts() >= seen + 20, "files without the version")  # noqa: B023
                figures.note(f"longest gap with {name}", load.longest_gap(began, time.time()), "s", at_most=GAP_SECONDS)

                # until they are good again
                swaps = times(worker, "version in force")
                proxy.plan = lambda _request: None
                wait_for(lambda: times(worker, "version in force") > swaps, "the swap")  # noqa: B023


@pytest.mark.timeout(400)
def test_download_that_never_ends(
    following: Callable[[str], Running], served: ServedRegistry, figures: Figures
) -> None:
    first, second = (served.register(version_files(weight)) for weight in (1.0, 2.0))
    served.move(PRODUCTION, first)
    with FaultProxy(served.uri) as proxy:
        # given a patient worker that downloads, and another that only hears nothing
        running = following(proxy.url)
        running.environment["MLFLOW_HTTP_REQUEST_TIMEOUT"] = "300"
        publisher, worker = running.publisher(), running.worker()
        running.ready(worker)
        seen = len(proxy.requests)
        proxy.plan = about_files(Fault("stall"))
        served.move(PRODUCTION, second)
        wait_for(lambda: any("model.onnx" in request.path for request in proxy.requests[seen:]), "a download")
        other = running.worker()
        running.ready(other)

        # when all are told to end
        began = time.monotonic()
        for program in (worker, other, publisher):
            program.end()
        figures.note("end of two workers and a publisher", time.monotonic() - began, "s", at_most=20.0)
