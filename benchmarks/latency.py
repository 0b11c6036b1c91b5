"""From a file's completion in the folder to its output: one file at a time, through the programs as they run."""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from pydantic import Field
from rich.console import Console
from rich.table import Table

from benchmarks.scoring.inputs import train_and_register, write_inputs
from deploy.processes import Program, end
from edge.command import Command, main
from ledger.names import output_name
from models.training.airline.dataset import synthetic_dataset
from transport.buckets.folder.bucket import FolderBucket

SETTLE_SECONDS = 1.0


class Latency(Command):
    """Seconds from a file's completion to its output, beyond the settle time."""

    rows: int = Field(2_000, ge=1, description="rows of each file")
    files: int = Field(15, ge=1, description="how many files, one at a time")

    def run(self) -> int:
        console = Console()
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            data = synthetic_dataset(20_000, seed=5)
            train_and_register(folder, data, epochs=1)
            inputs = write_inputs(folder / "inputs", data, self.rows, self.files + 1)
            environment = {
                "UNDERSTUDY_BUCKET": str(folder / "bucket"),
                "UNDERSTUDY_QUEUE": str(folder / "queue.db"),
                "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}",
                "UNDERSTUDY_MODEL_CACHE": str(folder / "cache"),
                "UNDERSTUDY_FILENAMES_LOG": "",
            }
            bucket = FolderBucket(environment["UNDERSTUDY_BUCKET"])
            programs = [
                Program("publisher", ["publisher", "--settle", str(SETTLE_SECONDS)], environment),
                Program("worker", ["worker", "--processes", "1"], environment),
            ]
            processes = {program.name: program.start(folder) for program in programs}
            try:
                seconds = [time_one(bucket, path, folder) for path in inputs]
            finally:
                end(processes)
        beyond = sorted(each - SETTLE_SECONDS for each in seconds[1:])  # the first waits for the programs to start
        table = Table("from completion to output, beyond the settle time", "seconds")
        table.add_row("median", f"{statistics.median(beyond):.3f}")
        table.add_row("fastest", f"{beyond[0]:.3f}")
        table.add_row("slowest", f"{beyond[-1]:.3f}")
        console.print(
            table, f"{self.files} files of {self.rows:,} rows, one at a time; settle time {SETTLE_SECONDS:g} s"
        )
        return 0


def time_one(bucket: FolderBucket, path: Path, folder: Path) -> float:
    """Drops one file and waits for its output."""
    waiting = folder / "dropping"
    waiting.write_bytes(path.read_bytes())
    os.replace(waiting, Path(bucket.url) / path.name)
    completed = time.perf_counter()
    output = Path(bucket.url) / output_name(path.name)
    while not output.exists():
        if time.perf_counter() - completed > 120:
            raise TimeoutError(f"{path.name} has no output after two minutes")
        time.sleep(0.002)
    return time.perf_counter() - completed


if __name__ == "__main__":
    sys.exit(main("benchmarks.latency", Latency.__doc__ or "", {}, default=Latency))
