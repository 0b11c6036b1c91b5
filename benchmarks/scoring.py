"""Rows per second through the whole worker, beside two loops without it; the same files, models and processor.

- worker: `python -m worker`, one scoring process (and one for the shadow), from the first message to the last ack:
  queue, lease, claim, publish, receipt, shadow, comparison, ack.
- plain loop: the same library calls in one process, without queue, claims, receipts and comparison: read, validate,
  score, write, for production and then for staging.
- naive loop: pandas, scikit-learn and Keras' `predict` with both models kept in memory, and `to_csv`.

All of it on one processor, in turn, round after round; the medians are what counts.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import Field
from rich.console import Console
from rich.table import Table

from benchmarks.contestants import NaiveLoop, PlainLoop, RunningWorker
from edge.command import Command, main
from models.airline.dataset import Dataset, read_dataset, synthetic_dataset
from models.airline.forest import train as train_forest
from models.airline.network import train as train_network
from models.airline.schema import ID_COLUMN
from models.aliases import move
from models.registry import PRODUCTION, STAGING, Registry
from worker.predict import Stopwatch

MODEL = "airline-satisfaction"


class Bench(Command):
    """Rows per second: the worker beside a plain loop and a naive one, in one run."""

    data: Path | None = Field(None, description="labelled CSV to train on and score (default: a synthetic survey)")
    rows: int = Field(25_000, ge=100, description="rows of each file")
    files: int = Field(4, ge=1, description="files in each round")
    rounds: int = Field(5, ge=1, description="how often each contestant runs")
    epochs: int = Field(3, ge=1, description="epochs of the network: its quality does not matter here")

    def run(self) -> int:
        console = Console()
        data = read_dataset(self.data) if self.data else synthetic_dataset(100_000, seed=3)
        with tempfile.TemporaryDirectory() as folder:
            return self._run(Path(folder), data, console)

    def _run(self, folder: Path, data: Dataset, console: Console) -> int:
        console.print(f"training a forest and a network on {len(data):,} rows")
        estimators = train_and_register(folder, data, self.epochs)
        files = write_inputs(folder / "inputs", data, self.rows, self.files)
        registry = Registry(f"sqlite:///{folder / 'mlflow.db'}", MODEL)
        versions = {
            alias: registry.fetch(registry.aliases()[alias], folder / "cache") for alias in (PRODUCTION, STAGING)
        }
        processor = min(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
        plain = PlainLoop(folder / "plain", versions)
        naive = NaiveLoop(folder / "naive", estimators)
        with RunningWorker(folder, processor) as worker:
            if processor is not None:
                os.sched_setaffinity(0, {processor})
            contestants: dict[str, Callable[[list[Path]], None]] = {
                "worker": worker.score,
                "plain loop": plain.score,
                "naive loop": naive.score,
            }
            seconds: dict[str, list[float]] = {name: [] for name in contestants}
            for contestant in contestants.values():
                contestant(files[:1])  # first uses load and allocate
            for _ in range(self.rounds):
                for name, contestant in contestants.items():
                    started = time.perf_counter()
                    contestant(files)
                    seconds[name].append(time.perf_counter() - started)
        rows = self.rows * self.files
        console.print(speeds(seconds, rows))
        console.print(steps(worker.timings, plain.watches, self.rows))
        return 0


def train_and_register(folder: Path, data: Dataset, epochs: int) -> dict[str, Any]:
    """Registers both models in `folder` under their aliases; gives their estimators, for the naive loop."""
    from datetime import UTC, datetime

    from models.airline.schema import LABEL_COLUMN, POSITIVE
    from models.baseline import training_profile
    from models.register import Candidate, register
    from models.serving_form import input_columns, serving_form
    from models.tracking import Tracking

    tracking = Tracking(f"sqlite:///{folder / 'mlflow.db'}")
    example = data.features.head(500)
    estimators = {}
    for alias, trained in (
        (PRODUCTION, train_forest(data, seed=0)),
        (STAGING, train_network(data, seed=0, epochs=epochs)),
    ):
        classes = tuple(str(label) for label in trained.estimator.classes_)
        graph = serving_form(trained.graph, classes, positive=POSITIVE)
        candidate = Candidate(
            kind=trained.kind,
            graph=graph,
            classes=classes,
            positive=POSITIVE,
            id_column=ID_COLUMN,
            label_column=LABEL_COLUMN,
            profile=training_profile(data.features, input_columns(graph)),
        )
        with tracking.run(trained.kind, trained.parameters, {"kind": trained.kind}):
            version = register(candidate, example, tracking, MODEL, {})
        move(tracking.client, MODEL, alias, version, who="bench", why="measuring", when=datetime.now(UTC))
        estimators[alias] = trained.estimator
    return estimators


def write_inputs(folder: Path, data: Dataset, rows: int, files: int) -> list[Path]:
    """`files` CSVs of `rows` rows each, with an id and the label."""
    folder.mkdir()
    table = data.features.copy()
    table.insert(0, ID_COLUMN, range(1, len(table) + 1))
    table["satisfaction"] = data.labels
    for name in table.columns:
        whole = table[name].dtype == float and (table[name].dropna() % 1 == 0).all()
        table[name] = table[name].astype("Int64") if whole else table[name]
    paths = []
    for number in range(files):
        part = table.sample(rows, replace=rows > len(table), random_state=number)
        path = folder / f"flights-{number}.csv"
        part.to_csv(path, index=False)
        paths.append(path)
    return paths


def speeds(seconds: dict[str, list[float]], rows: int) -> Table:
    """Rows per second, and how the worker compares."""
    table = Table("contestant", "rows/s, median", "slowest", "fastest", "worker is, pair by pair (median)")
    for name, times in seconds.items():
        ratios = [theirs / ours for ours, theirs in zip(seconds["worker"], times, strict=True)]
        table.add_row(
            name,
            f"{rows / statistics.median(times):,.0f}",
            f"{rows / max(times):,.0f}",
            f"{rows / min(times):,.0f}",
            "" if name == "worker" else f"{statistics.median(ratios):.2f} times as fast",
        )
    return table


def steps(ours: list[dict[str, float]], theirs: list[Stopwatch], rows: int) -> Table:
    """Where production's time goes, per file."""
    table = Table("step (production)", "worker, ms per file", "plain loop, ms per file")
    for step in ("read", "validate", "score", "write"):
        table.add_row(
            step,
            f"{1000 * statistics.median(timing.get(step, 0.0) for timing in ours):.1f}",
            f"{1000 * statistics.median(watch.seconds.get(step, 0.0) for watch in theirs):.1f}",
        )
    table.caption = f"medians over files of {rows:,} rows; the rest of the worker's time is commit, shadow, comparison"
    return table


if __name__ == "__main__":
    sys.exit(main("benchmarks.scoring", Bench.__doc__ or "", {}, default=Bench))
