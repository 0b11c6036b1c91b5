"""How much memory a worker takes for one file: parent, scoring process and that of the shadow."""

from __future__ import annotations

import os

from deploy.waiting import wait_for
from ledger.receipt import Status
from tests.chaos.processes import MB, peak
from tests.chaos.understudy import Running, surveys

ROWS = 20_000  # of which a file is made, again and again


def drop_big(running: Running, name: str, size: int) -> int:
    """A file of about `size` bytes, made of the same rows again and again; gives the number of rows."""
    header, _, rows = surveys(1, ROWS)["part 000.csv"].partition(b"\n")
    times = -(-size // len(rows))
    unfinished = running.root / f".{name}.tmp"
    with unfinished.open("wb") as out:
        out.write(header + b"\n")
        for _ in range(times):
            out.write(rows)
    os.replace(unfinished, running.root / name)
    return times * ROWS


def peaks_after(running: Running, name: str, size: int, seconds: float) -> list[int]:
    """Peaks of parent, scoring process and shadow's process of a new worker that does this one file."""
    worker = running.worker()  # with its own limits: those let a big file pass
    running.ready_with_shadow(worker)
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


def in_megabytes(peaks: list[int]) -> list[int]:
    return [round(peak / MB) for peak in peaks]
