"""Two thousand files through real notifications, each told twice, to two workers: how many a second."""

from __future__ import annotations

import time

import pytest

from tests.cloud import conftest as cloud_fixtures
from tests.cloud.house import House
from tests.cloud.told_twice import told_twice
from tests.measure.figures import Figures

pytestmark = [pytest.mark.emulator, pytest.mark.timeout(900)]

FILES, BATCH = 2000, 100

house = cloud_fixtures.house


def test_notifications(house: House, figures: Figures) -> None:
    started = time.monotonic()
    by_worker = told_twice(house, FILES, BATCH)
    took = time.monotonic() - started
    figures.note("files a second, each told twice", FILES / took, "a second")
    figures.note("share of the worker that wrote fewer", min(by_worker.values()) / FILES)
