"""How the cost of a file grows with its rows and columns, the values in them, classes and trees: a step at a time.

Each line changes one thing of a usual case. The steps are the worker's own, in this process, with a version registered
as any other; what a file costs besides its rows (queue, claim, receipt) is not in them.
"""

from __future__ import annotations

import io
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from edge.command import Command, main
from models.evidence.record.comparison import Comparison, Predictions
from models.register_sklearn import register_sklearn
from models.registry.client import Registry
from models.scoring.scorer import Scorer
from worker.scoring import write
from worker.scoring.predict import Stopwatch, predict
from worker.scoring.predicted import Predicted

FITTED_ON = 4_000  # rows
LEAVES = 256


@dataclass(frozen=True)
class Case:
    """`distinct`: values of each column at most; half of the `columns` are texts. `text`: characters of each."""

    rows: int = 25_000
    columns: int = 22
    distinct: int = 50
    text: int = 8
    classes: int = 2
    trees: int = 64

    def table(self, rows: int, seed: int) -> pd.DataFrame:
        """An id and `columns` others."""
        choose = np.random.default_rng(seed)
        made: dict[str, Any] = {"id": np.arange(rows)}
        texts = np.array([f"{value:0{self.text}d}"[: self.text - 1] + "x" for value in range(self.distinct)])
        for column in range(self.columns):
            values = choose.integers(0, self.distinct, rows)
            made[f"c{column}"] = values / 8 if column % 2 else texts[values].astype(object)
        return pd.DataFrame(made)


USUAL = Case()
LINES: dict[str, tuple[int, ...]] = {
    "rows": (100, 1_000, 25_000, 100_000),
    "columns": (4, 22, 100, 300),
    "distinct": (2, 50, 1_000, 25_000),
    "text": (8, 64, 512),
    "classes": (2, 5, 20),
    "trees": (16, 64, 256),
}


class ProcessorWatch(Stopwatch):
    """Seconds of processor time per step."""

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        started = time.process_time()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.process_time() - started


class Growth(Command):
    """Milliseconds of processor time for each step of a file, as one thing after the other grows."""

    rounds: int = Field(5, ge=1, description="how often each step is done; the median counts")

    def run(self) -> int:
        table = Table("", *("read, validate", "score", "write", "compare", "bytes a row"), box=MARKDOWN)
        for column in table.columns[1:]:
            column.justify = "right"
        with tempfile.TemporaryDirectory() as place:
            for number, (what, case) in enumerate(cases()):
                table.add_row(what, *self._measured(case, Path(place), number))
        Console().print(table)
        return 0

    def _measured(self, case: Case, place: Path, number: int) -> Iterator[str]:
        scorer = registered(case, place, f"growth-{number}")
        data = case.table(case.rows, 2).to_csv(index=False).encode()
        parts = list(predict(io.BytesIO(data), scorer, Stopwatch()))
        watches = [ProcessorWatch() for _ in range(self.rounds)]
        for watch in watches:
            for _ in predict(io.BytesIO(data), scorer, watch):
                pass
        spent = {step: statistics.median(watch.seconds[step] for watch in watches) for step in watches[0].seconds}
        yield f"{1000 * (spent['read'] + spent['validate']):,.1f}"
        yield f"{1000 * spent['score']:,.1f}"
        yield f"{1000 * self._median(lambda: [written(scorer, part) for part in parts]):,.1f}"
        yield f"{1000 * self._median(lambda: compared(scorer, parts)):,.1f}"
        yield f"{len(data) // case.rows:,}"

    def _median(self, step: Callable[[], object]) -> float:
        step()
        seconds = []
        for _ in range(self.rounds):
            started = time.process_time()
            step()
            seconds.append(time.process_time() - started)
        return statistics.median(seconds)


def cases() -> Iterator[tuple[str, Case]]:
    """The usual one, and those in which one thing is another."""
    yield "usual", USUAL
    for name, values in LINES.items():
        for value in values:
            if value != getattr(USUAL, name):
                yield f"{name} {value:,}", replace(USUAL, **{name: value})


def registered(case: Case, place: Path, model: str) -> Scorer:
    """A forest for the case's columns and classes, ready to serve."""
    rows = case.table(FITTED_ON, 1).drop(columns="id")
    answers = np.random.default_rng(3).integers(0, case.classes, FITTED_ON).astype(str)
    texts = [name for name in rows if pd.api.types.is_string_dtype(rows[name])]
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False, max_categories=20)
    columns = make_column_transformer((encoder, texts), remainder="passthrough")
    forest = RandomForestClassifier(case.trees, max_leaf_nodes=LEAVES, random_state=0, n_jobs=-1)
    pipeline = make_pipeline(columns, forest).fit(rows, answers)
    registry = f"sqlite:///{place / 'mlflow.db'}"
    version = register_sklearn(
        pipeline, rows.head(100), model=model, id_column="id", training_rows=rows, tracking_uri=registry
    )
    fetched = Registry(registry, model).fetch(version, place / "cache")
    scorer = Scorer(fetched.graph.read_bytes(), fetched.spec)
    scorer.prepare()
    return scorer


def written(scorer: Scorer, part: Predicted) -> bytes:
    """The part's lines."""
    return write.rows(scorer.spec, part)


def compared(scorer: Scorer, parts: list[Predicted]) -> None:
    """A record of the version with itself."""
    record = Comparison.start(scorer.spec, scorer.spec)
    for part in parts:
        answers = Predictions(part.labels, part.probabilities.astype(np.float64), 0.0)
        record.add(answers, answers, part.truth, part.columns_of_all(), part.ids)


if __name__ == "__main__":
    sys.exit(main("benchmarks.scoring.growth", Growth.__doc__ or "", {}, default=Growth))
