"""How much more memory a worker takes for a huge file than for a small one. HUGE_MB=2000: by hand, at full length."""

from __future__ import annotations

import os

import pytest

from tests.chaos.memory import peaks_after
from tests.chaos.processes import MB
from tests.chaos.understudy import Running
from tests.measure.figures import Figures

HUGE_MB = int(os.environ.get("HUGE_MB", "1024"))


@pytest.mark.timeout(3600)
def test_a_huge_file(running: Running, figures: Figures) -> None:
    small = peaks_after(running, "small.csv", 10 * MB, 300)
    big = peaks_after(running, "big.csv", HUGE_MB * MB, 3000)

    assert len(small) == len(big) == 3
    figures.note(f"{HUGE_MB:,} MB, memory in all against 10 MB", sum(big) / sum(small), at_most=1.3)
    for who, before, after in zip(("parent", "scoring process", "shadow"), small, big, strict=True):
        figures.note(f"{HUGE_MB:,} MB, memory of the {who} against 10 MB", after / before, at_most=1.4)
        figures.note(f"{HUGE_MB:,} MB, memory of the {who}", after / MB, "MB")
