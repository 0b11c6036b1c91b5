"""How fast files go while versions are refused and while one loads, beside the rate without; and the longest gap."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from deploy.waiting import wait_for
from models.registry.client import PRODUCTION
from tests.chaos.understudy import Running
from tests.hotswap.conftest import database as database
from tests.hotswap.conftest import following as following
from tests.hotswap.load import Load
from tests.hotswap.registries import DatabaseRegistry, version_files
from tests.hotswap.test_bad_versions import bad_versions, slow_version, times
from tests.measure.figures import Figures

SLOW_SECONDS = 60.0  # of a processor, that a version needs to be loaded
WINDOW = 20.0  # seconds, for a rate


@pytest.mark.timeout(1800)
def test_bad_versions(following: Callable[[str], Running], database: DatabaseRegistry, figures: Figures) -> None:
    # given a worker under a steady load
    first = database.register(version_files(1.0))
    database.move(PRODUCTION, first)
    bad = [database.register(files, tags) for files, tags in bad_versions().values()]
    slow = database.register(slow_version(SLOW_SECONDS))
    running = following(database.uri)
    worker = running.worker("--shadow-fraction", "0")
    running.ready(worker)
    with Load(running, rows=20_000, ahead=100, published=True) as load:
        wait_for(lambda: running.count_receipts() >= 40, "a load that is under way")
        started = time.time()
        wait_for(lambda: time.time() - started >= WINDOW, "a while of it")
        before = load.rate(started, started + WINDOW)

        # when the alias names each version that must not serve, again and again
        tried, turns = time.time(), 0
        while time.time() - tried < WINDOW:
            for version in bad:
                database.move(PRODUCTION, version)
                wait_for(lambda: times(worker, "version refused", version) > turns, f"{version} refused")  # noqa: B023
            turns += 1
        during, gap = load.rate(tried, time.time()), load.longest_gap(started, time.time())

        # and then one that takes long to load
        loading = time.time()
        database.move(PRODUCTION, slow)
        in_force = worker.wait_for_log("version in force", seconds=1500.0, version=slow)
        loaded = time.time()
        beside, slow_gap = load.rate(loading, loaded), load.longest_gap(loading, loaded)
        wait_for(lambda: time.time() - loaded >= WINDOW, "a while without a swap")
        after = load.rate(loaded, loaded + WINDOW)

    # then files went on, at nearly the same rate: the lower of those around it, since others share this machine
    alone = min(before, after)
    figures.note("files a second before", before)
    figures.note("files a second after", after)
    figures.note("rate while four are refused, of that without", during / alone, at_least=0.7)
    figures.note("rate while one loads, of that without", beside / alone, at_least=0.7)
    figures.note("longest gap while four are refused", gap, "s", at_most=2.0)
    figures.note("longest gap while one loads", slow_gap, "s", at_most=2.0)
    figures.note("until the slow one is in force", in_force["seconds"], "s")
