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
@pytest.mark.parametrize(
    ("form", "options"),
    [("csv", ()), ("parquet", ()), ("parquet", ("--carry", "all", "--output", "parquet"))],
    ids=["CSV", "Parquet", "Parquet to Parquet"],
)
def test_a_huge_file(running: Running, figures: Figures, form: str, options: tuple[str, ...]) -> None:
    small = peaks_after(running, f"small.{form}", (100 if options else 10) * MB, 300, *options)
    big = peaks_after(running, f"big.{form}", HUGE_MB * MB, 3000, *options)

    assert len(small) == len(big) == 3
    what = f"{HUGE_MB:,} MB {' '.join((form, *options))}"
    figures.note(f"{what}, memory in all against {100 if options else 10} MB", sum(big) / sum(small), at_most=1.3)
    for who, before, after in zip(("parent", "scoring process", "shadow"), small, big, strict=True):
        figures.note(f"{what}, memory of the {who} against a small one", after / before, at_most=1.4)
        figures.note(f"{what}, memory of the {who}", after / MB, "MB")
