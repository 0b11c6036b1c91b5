"""The steps that the demos have in common: train, drop twenty files, follow each to its receipt."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from rich.console import Console
from rich.live import Live

from deploy.demo.files import ROWS, demo_files
from deploy.demo.show import Dropped, look, picture
from deploy.processes import ROOT, Program
from ledger.names import Key
from transport.bucket import Bucket
from transport.event import Generation

SECONDS_BETWEEN_FILES = 0.15

Drop = Callable[[str, bytes], int | None]
"""Puts content under a name as a person would; gives its generation, None where it is gone already."""


def places_of(folder: Path, bucket: str, queue: str) -> dict[str, str]:
    """What every program of the demo finds in its environment."""
    return {
        "UNDERSTUDY_BUCKET": bucket,
        "UNDERSTUDY_QUEUE": queue,
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}",
        "UNDERSTUDY_MODEL_CACHE": str(folder / "model-cache"),
        "UNDERSTUDY_FILENAMES_LOG": str(folder / "new_data_filenames.txt"),
    }


def train(environment: Mapping[str, str], console: Console) -> bool:
    """Trains a forest for production and a network for its shadow on a synthetic sample; False where that failed."""
    trained = subprocess.run(
        [sys.executable, "-m", "models", "train", "forest", "network"],
        cwd=ROOT,
        env={**os.environ, **environment},
        check=False,
    )
    if trained.returncode:
        console.print("[red]the training failed; what it says above is why[/red]")
    return trained.returncode == 0


def programs(environment: Mapping[str, str], workers: int, *publisher_options: str) -> list[Program]:
    """A publisher, and workers of one scoring process each."""
    return [
        Program("publisher", ["publisher", *publisher_options], environment),
        *(Program(f"worker-{number}", ["worker", "--processes", "1"], environment) for number in range(1, workers + 1)),
    ]


def drop_and_watch(
    bucket: Bucket,
    drop: Drop,
    console: Console,
    processes: Mapping[str, subprocess.Popen[bytes]],
    seconds: float,
) -> list[Dropped]:
    """Drops the files one by one and shows how they fare, until each is finished or `seconds` are over."""
    dropped = [Dropped(file) for file in demo_files(_clean_files())]
    to_drop = list(dropped)
    replacing = [one for one in dropped if one.file.replacement is not None]
    deadline = time.monotonic() + seconds
    with Live(console=console, refresh_per_second=8, transient=False) as live:
        while time.monotonic() < deadline:
            if to_drop:
                one = to_drop.pop(0)
                _drop(drop, one, one.file.content)
            elif replacing and replacing[0].receipts:
                one = replacing.pop()
                _drop(drop, one, one.file.replacement or b"")
            for one in dropped:
                look(bucket, one)
            live.update(picture(dropped, processes))
            if not to_drop and not replacing and all(one.finished for one in dropped):
                break
            if all(process.poll() is not None for process in processes.values()):
                break
            time.sleep(SECONDS_BETWEEN_FILES)
    if not console.is_terminal:
        console.print()  # there the table is printed once, at the end, and without the end of its last line
    return dropped


def _drop(drop: Drop, one: Dropped, content: bytes) -> None:
    generation = drop(one.file.name, content)
    if generation is not None:
        one.compared = False
        one.keys.append(Key(one.file.name, Generation(generation)))


def _clean_files() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        options = ["--rows", str(ROWS), "--files", "21", "--seed", "2026", "--labels", "--out", folder]
        subprocess.run(
            [sys.executable, "-m", "models", "sample", *options], cwd=ROOT, check=True, stdout=subprocess.DEVNULL
        )
        return [path.read_bytes() for path in sorted(Path(folder).glob("*.csv"))]
