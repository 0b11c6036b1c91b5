"""Many files through real notifications, each told twice, to two workers."""

from __future__ import annotations

import pytest

from tests.cloud.house import House
from tests.cloud.told_twice import told_twice

pytestmark = [pytest.mark.emulator, pytest.mark.slow, pytest.mark.timeout(600)]

FILES, BATCH = 150, 15


def test_files_that_are_each_told_twice_are_written_once(house: House) -> None:
    told_twice(house, FILES, BATCH)
