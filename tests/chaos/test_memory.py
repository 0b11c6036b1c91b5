"""A worker's memory does not grow with the size of its files (parent, scoring process and that of the shadow)."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from deploy.waiting import wait_for
from ledger.receipt import Status
from tests.chaos.understudy import Running, surveys

MB = 1 << 20
HUGE_MB = int(os.environ.get("HUGE_MB", "1024"))  # by hand: 2000


def drop_big(running: Running, name: str, size: int) -> int:
    """A file of about `size` bytes, made of the same rows again and again; gives the number of rows."""
    header, _, rows = surveys(1, 20_000)["part 000.csv"].partition(b"\n")
    times = -(-size // len(rows))
    unfinished = running.root / f".{name}.tmp"
    with unfinished.open("wb") as out:
        out.write(header + b"\n")
        for _ in range(times):
            out.write(rows)
    os.replace(unfinished, running.root / name)
    return times * 20_000


def peak(pid: int) -> int:
    """The most memory that a process has had resident, in bytes."""
    [kilobytes] = re.findall(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(kilobytes) * 1024


def peaks_after(running: Running, name: str, size: int, seconds: float) -> list[int]:
    """Peaks of parent, scoring process and shadow's process of a new worker that does this one file."""
    worker = running.worker()  # with its own limits: those let a big file pass
    running.ready(worker)
    rows = drop_big(running, name, size)
    running.queue.publish([running.event(name).to_message()])
    wait_for(lambda: running.receipts(name), "the receipt", seconds, every=0.2)
    wait_for(lambda: running.backlog() == 0, "its shadow", seconds, every=0.2)
    measured = [peak(pid) for pid in (worker.pid, *worker.scorers())]
    assert worker.end() == 0
    [receipt] = running.receipts(name)
    assert (receipt.status, receipt.rows) == (Status.SCORED, rows)
    shadow = running.bucket.stat(receipt.key.shadow)
    assert shadow is not None
    assert shadow.size > rows
    (running.root / name).unlink()
    return measured


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("size", [100, HUGE_MB], ids=["100 MB", "1 GB"])
def test_a_big_file_takes_no_more_memory_than_a_small_one(running: Running, size: int) -> None:
    small = peaks_after(running, "small.csv", 10 * MB, 120)
    big = peaks_after(running, "big.csv", size * MB, 3000)

    print([round(peak / MB) for peak in small], [round(peak / MB) for peak in big])
    assert len(small) == len(big) == 3
    assert sum(big) < 1.3 * sum(small)
    assert all(after < 1.4 * before for before, after in zip(small, big, strict=True))
