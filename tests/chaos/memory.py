"""How much memory a worker takes for one file: parent, scoring process and that of the shadow."""

from __future__ import annotations

import io
import os

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

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


def drop_big_parquet(running: Running, name: str, size: int) -> int:
    """The same as Parquet in one row group, each cell stored by itself."""
    once = pa.Table.from_pandas(pd.read_csv(io.BytesIO(surveys(1, ROWS)["part 000.csv"])), preserve_index=False)
    unfinished = running.root / f".{name}.tmp"

    def write(times: int) -> int:
        rows = pa.concat_tables([once] * times)
        pq.write_table(rows, unfinished, row_group_size=len(rows), use_dictionary=False, compression="none")
        return unfinished.stat().st_size

    times = -(-size // write(1))
    write(times)
    os.replace(unfinished, running.root / name)
    return times * ROWS


def peaks_after(running: Running, name: str, size: int, seconds: float, *options: str) -> list[int]:
    """Peaks of parent, scoring process and shadow's process of a new worker that does this one file."""
    worker = running.worker(*options)  # with its own limits: those let a big file pass
    running.ready_with_shadow(worker)
    rows = (drop_big_parquet if name.endswith(".parquet") else drop_big)(running, name, size)
    running.queue.publish([running.event(name).to_message()])
    wait_for(lambda: running.receipts(name), "the receipt", seconds, every=0.2)
    wait_for(lambda: running.backlog() == 0, "its shadow", seconds, every=0.2)
    measured = [peak(pid) for pid in (worker.pid, *worker.scorers())]
    assert worker.end() == 0
    [receipt] = running.receipts(name)
    assert (receipt.status, receipt.rows) == (Status.SCORED, rows)
    [shadow] = filter(None, map(running.bucket.stat, receipt.key.shadows))
    assert shadow.size > rows
    (running.root / name).unlink()
    return measured


def in_megabytes(peaks: list[int]) -> list[int]:
    return [round(peak / MB) for peak in peaks]
