"""What the reader of descriptions does with hostile ones: how many were tried, how long and in how much memory.

DESCRIPTIONS=100000: by hand, with more of each kind that is quick to read.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.chaos.processes import MB, peak
from tests.measure.figures import Figures
from tests.unit.description.attacks import ATTACKS

MANY = int(os.environ.get("DESCRIPTIONS", "3000"))
FEW = 60  # of the kinds that fill a megabyte each
QUICK = ("other types than the field has", "a good description with bytes changed", "noise")
HANG_SECONDS = 300.0  # for all of one kind


@pytest.mark.timeout(3600)
def test_hostile_descriptions(figures: Figures) -> None:
    hangs = crashes = 0
    slowest = largest = 0.0
    for kind in ATTACKS:
        count = MANY if kind in QUICK else FEW
        try:
            done = subprocess.run(
                [sys.executable, "-m", __name__, kind, str(count)],
                capture_output=True,
                text=True,
                timeout=HANG_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            hangs += 1
            continue
        if done.returncode:
            print(done.stderr)
            crashes += 1
            continue
        seen = json.loads(done.stdout)
        slowest, largest = max(slowest, seen["slowest"]), max(largest, seen["megabytes"])
        figures.note(f"{kind}, tried", count)
        figures.note(f"{kind}, refused", seen["refused"])
        figures.note(f"{kind}, the slowest", seen["slowest"], "s")
        figures.note(f"{kind}, memory", seen["megabytes"], "MB")
    figures.note("hangs", hangs, at_most=0)
    figures.note("crashes", crashes, at_most=0)
    figures.note("the slowest of all", slowest, "s", at_most=20)
    figures.note("memory at most, beyond what was held before", largest, "MB", at_most=100)


def main(kind: str, count: int) -> None:
    """Reads so many of one kind; anything but a spec or UnfitModel ends this process."""
    from models.registry.description.read import read_spec, read_training
    from models.registry.spec import UnfitModel
    from tests.unit.registered import mlmodel

    read_spec(mlmodel(), "measured", "1")
    refused, slowest = 0, 0.0
    files = list(ATTACKS[kind](min(count, 20))) if count <= FEW else None
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
    before = peak(os.getpid()) / MB
    for data in ATTACKS[kind](count) if files is None else (files[number % len(files)] for number in range(count)):
        began = time.monotonic()
        try:
            read_spec(data, "measured", "1")
        except UnfitModel:
            refused += 1
        read_training(data)
        slowest = max(slowest, time.monotonic() - began)
    print(json.dumps({"refused": refused, "slowest": slowest, "megabytes": peak(os.getpid()) / MB - before}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
