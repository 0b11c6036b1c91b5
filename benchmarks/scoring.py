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
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import Field
from rich.console import Console
from rich.table import Table

from edge.command import Command, main
from ledger.commit import read_receipt
from ledger.names import Key
from models.airline.dataset import Dataset, read_dataset, synthetic_dataset
from models.airline.forest import train as train_forest
from models.airline.network import train as train_network
from models.airline.schema import FEATURE_COLUMNS, ID_COLUMN
from models.aliases import move
from models.registry import PRODUCTION, STAGING, FetchedVersion, Registry
from models.scoring.scorer import Scorer
from transport.event import Generation, ObjectEvent
from transport.folder import FolderBucket
from transport.local_queue import LocalQueue
from worker import write
from worker.predict import Stopwatch, predict

ROOT = Path(__file__).resolve().parent.parent
MODEL = "airline-satisfaction"
Labels = dict[str, Any]


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


class RunningWorker:
    """A real worker on a folder and a local queue; `score` publishes the files and waits for their last ack."""

    def __init__(self, folder: Path, processor: int | None) -> None:
        self._folder = folder
        self._processor = processor
        self._bucket = FolderBucket(str(folder / "bucket"))
        self._queue = LocalQueue(str(folder / "queue.db"))
        self._rescore = 0
        self.timings: list[dict[str, float]] = []

    def __enter__(self) -> RunningWorker:
        environment = {
            "BUCKET": str(self._folder / "bucket"),
            "QUEUE": str(self._folder / "queue.db"),
            "MLFLOW_TRACKING_URI": f"sqlite:///{self._folder / 'mlflow.db'}",
            "MODEL_CACHE": str(self._folder / "cache"),
            "FILENAMES_LOG": "",
            "REGISTRY_POLL_SECONDS": "3600",
        }
        pinned = ["taskset", "-c", str(self._processor)] if self._processor is not None else []
        self._log = (self._folder / "worker.log").open("wb")
        self._process = subprocess.Popen(
            [*pinned, sys.executable, "-m", "worker", "--processes", "1"],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=self._log,
            stderr=self._log,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(60)
        self._log.close()

    def score(self, files: list[Path]) -> None:
        """Every call is a re-scoring of its own: the same files, anew."""
        self._rescore += 1
        keys = []
        events = []
        for path in files:
            target = Path(self._bucket.url) / path.name
            if not target.exists():
                target.write_bytes(path.read_bytes())
            info = self._bucket.stat(path.name)
            assert info is not None
            generation = Generation(info.generation, self._rescore)
            keys.append(Key(path.name, generation))
            events.append(ObjectEvent(self._bucket.name, path.name, generation, "2026-01-01T00:00:00Z", info.size))
        self._queue.publish(event.to_message() for event in events)
        while True:
            backlog = self._queue.backlog()
            if not backlog.waiting and not backlog.leased:
                break
            if self._process.poll() is not None:
                raise RuntimeError((self._folder / "worker.log").read_text()[-2000:])
            time.sleep(0.005)
        for key in keys:
            receipt = read_receipt(self._bucket, key)
            assert receipt is not None
            assert receipt.status.value == "scored", receipt
            assert self._bucket.stat(key.comparison) is not None
            self.timings.append(dict(receipt.timings))


class PlainLoop:
    """The worker's own steps, one after the other."""

    def __init__(self, folder: Path, versions: dict[str, FetchedVersion]) -> None:
        self._folder = folder
        folder.mkdir()
        self._scorers = {alias: Scorer(v.graph.read_bytes(), v.spec) for alias, v in versions.items()}
        for scorer in self._scorers.values():
            scorer.prepare()
        self.watches: list[Stopwatch] = []

    def score(self, files: list[Path]) -> None:
        for path in files:
            for alias, scorer in self._scorers.items():
                watch = Stopwatch()
                with path.open("rb") as stream, (self._folder / f"{alias}_{path.name}").open("wb") as out:
                    out.write(write.header(scorer.spec))
                    for part in predict(stream, scorer, watch):
                        with watch.step("write"):
                            out.write(
                                write.rows(
                                    scorer.spec,
                                    part.first_row,
                                    part.ids,
                                    part.labels,
                                    part.probabilities,
                                    part.error_texts,
                                )
                            )
                if alias == PRODUCTION:
                    self.watches.append(watch)


class NaiveLoop:
    """What a notebook does, with the models loaded once."""

    def __init__(self, folder: Path, estimators: dict[str, Any]) -> None:
        self._folder = folder
        folder.mkdir()
        self._forest = estimators[PRODUCTION]
        self._network = estimators[STAGING]

    def score(self, files: list[Path]) -> None:
        for path in files:
            table = pd.read_csv(path)
            rows = table[list(FEATURE_COLUMNS)]
            forest = self._forest.predict_proba(rows)[:, 1]
            features = self._network.columns.transform(rows).astype("float32")
            network = self._network.keras_model.predict(features, verbose=0)[:, 0]
            for name, probability in (("forest", forest), ("network", network)):
                classes = self._forest.classes_[(probability > 0.5).astype(int)]
                out = pd.DataFrame({"id": table[ID_COLUMN], "prediction": classes, "probability": probability})
                out.to_csv(self._folder / f"{name}_{path.name}", index=False)


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
