"""A worker's memory does not grow with the size of its files (`tests/measure/measure_memory.py`: nor with 1 GB)."""

from __future__ import annotations

import pytest

from tests.chaos.memory import in_megabytes, peaks_after
from tests.chaos.processes import MB
from tests.chaos.understudy import Running


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("size", [100], ids=["100 MB"])
def test_a_big_file_takes_no_more_memory_than_a_small_one(running: Running, size: int) -> None:
    small = peaks_after(running, "small.csv", 10 * MB, 300)
    big = peaks_after(running, "big.csv", size * MB, 600)

    print(in_megabytes(small), in_megabytes(big))
    assert len(small) == len(big) == 3
    assert sum(big) < 1.3 * sum(small)
    assert all(after < 1.4 * before for before, after in zip(small, big, strict=True))
