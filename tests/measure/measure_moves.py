"""How soon workers follow a moved alias, looking at the registry as often as by default."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from deploy.waiting import wait_for
from models.registry.client import PRODUCTION
from tests.chaos.understudy import Running
from tests.hotswap.conftest import following as following
from tests.hotswap.conftest import served as served
from tests.hotswap.load import Load
from tests.hotswap.registries import ServedRegistry, version_files
from tests.hotswap.test_moves import ROWS, wait_until_all_follow
from tests.measure.figures import Figures

WITHIN_SECONDS = 15.0  # ten between two looks, and a few to fetch, try and load


@pytest.mark.timeout(400)
def test_moved_alias(following: Callable[[str], Running], served: ServedRegistry, figures: Figures) -> None:
    # given two workers under load
    first, second = (served.register(version_files(weight)) for weight in (1.0, 2.0))
    served.move(PRODUCTION, first)
    running = following(served.uri)
    running.publisher()
    workers = [running.start("worker", "--processes", "1") for _ in range(2)]
    running.ready(*workers)
    with Load(running, rows=ROWS, ahead=10) as load:
        wait_for(lambda: running.count_receipts() >= 20, "files under way")

        # when the alias moves, and moves back
        for name, version in (("to the new version", second), ("back", first)):
            served.move(PRODUCTION, version)
            moved, seen = time.time(), running.count_receipts()
            wait_until_all_follow(workers, version)
            figures.note(name, time.time() - moved, "s", at_most=WITHIN_SECONDS)
            wait_for(lambda: running.count_receipts() >= seen + 100, "files after it")  # noqa: B023
        figures.note("longest gap", load.longest_gap(*load.span()), "s")
