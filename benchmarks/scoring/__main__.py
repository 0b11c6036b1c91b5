"""How fast the whole worker is, beside those who score the same files without it: same models, one processor.

- worker: `python -m worker`, one scoring process (and one for the shadow), from the first message to the last ack:
  queue, lease, claim, publish, receipt, shadow, comparison, ack. Also without a shadow; and, where there are two
  processors, with two scoring processes on two.
- plain: the same library calls in one process, without queue, claims, receipts and comparison: read, validate, score,
  write, for production and then for staging.
- naive: pandas, scikit-learn and Keras' `predict`, one thread each, with both models kept in memory, and `to_csv`.
- beam: Apache Beam's RunInference on whole files, in an environment of its own (`make peers` makes it).

All in turn, round after round; the medians are what counts. The first turn of each loads and allocates: it is left out.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pydantic import Field
from rich.console import Console
from rich.table import Table

from benchmarks.scoring.contestants import Contestant, Loop, RunningWorker
from benchmarks.scoring.figures import Size, Turn, Turns
from benchmarks.scoring.inputs import MODEL, train_and_register, write_inputs
from benchmarks.scoring.kept import keep
from benchmarks.scoring.usage import peak_megabytes, processor_seconds
from deploy.processes import ROOT
from edge.command import Command, main
from models.training.airline.dataset import Dataset, read_dataset, synthetic_dataset

PEERS = ROOT / ".venv-peers" / "bin" / "python"
ROWS_A_TURN = 100_000  # of large files; of small ones MOST_FILES
MOST_FILES = 100


class Bench(Command):
    """Rows per second and processor time: the worker beside a plain loop, a naive one and Beam, in one run."""

    data: Path | None = Field(None, description="labelled CSV to train on and score (default: a synthetic survey)")
    rows: list[int] = Field([100, 1_000, 25_000], description="rows of a file, e.g. --rows 100,25000")
    rounds: int = Field(5, ge=1, description="how often each contestant has its turn")
    epochs: int = Field(3, ge=1, description="epochs of the network: its quality does not matter here")
    peers: bool = Field(False, description="Apache Beam as well; `make peers` installs it")
    as_json: bool = Field(False, alias="json", description="a line of JSON per size and nothing else")

    def run(self) -> int:
        if not Path("/proc/self/stat").exists():
            print("benchmarks.scoring: it reads /proc, which only Linux has", file=sys.stderr)
            return 2
        if self.peers and not PEERS.exists():
            print("benchmarks.scoring: Beam is not installed; `make peers` does that", file=sys.stderr)
            return 2
        console = Console(stderr=self.as_json)
        data = read_dataset(self.data) if self.data else synthetic_dataset(100_000, seed=3)
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            console.print(f"training a forest and a network on {len(data):,} rows")
            keep(train_and_register(folder, data, self.epochs), folder / "models")
            with self._contestants(folder) as contestants:
                for rows in sorted(self.rows):  # memory is that of all sizes until then
                    size = self._measure(folder, data, rows, contestants)
                    if self.as_json:
                        print(size.to_json(), flush=True)
                    else:
                        console.print(size.table())
                        worker = contestants["worker"]
                        assert isinstance(worker, RunningWorker)
                        console.print(steps(worker.timings[-size.files * self.rounds :]))
        return 0

    @contextmanager
    def _contestants(self, folder: Path) -> Iterator[dict[str, Contestant]]:
        processors = sorted(os.sched_getaffinity(0))
        registry, cache = f"sqlite:///{folder / 'mlflow.db'}", str(folder / "cache")
        environment = {"MLFLOW_TRACKING_URI": registry, "UNDERSTUDY_MODEL_CACHE": cache}
        with ExitStack() as running:

            def started(contestant: Contestant) -> Contestant:
                running.callback(contestant.stop)
                return contestant

            contestants = {}
            if len(processors) > 1:
                os.sched_setaffinity(0, processors[:2])  # children take it over
                two = RunningWorker(folder, "worker, two", environment, 2, shadow=True)
                contestants["worker, two processors"] = started(two)
            os.sched_setaffinity(0, processors[:1])
            contestants |= {
                "worker": started(RunningWorker(folder, "worker", environment, 1, shadow=True)),
                "worker, no shadow": started(RunningWorker(folder, "worker, alone", environment, 1, shadow=False)),
                "plain": started(Loop(folder, "plain", [registry, cache, MODEL])),
                "naive": started(Loop(folder, "naive", [str(folder / "models")])),
            }
            if self.peers:
                contestants["beam"] = started(Loop(folder, "beam", [str(folder / "models")], str(PEERS)))
            try:
                yield contestants
            finally:
                os.sched_setaffinity(0, processors)

    def _measure(self, folder: Path, data: Dataset, rows: int, contestants: dict[str, Contestant]) -> Size:
        count = max(1, min(MOST_FILES, ROWS_A_TURN // rows))
        files = write_inputs(folder / f"inputs-{rows}", data, rows, count)
        for contestant in contestants.values():
            contestant.score(files[: max(1, count // 5)])
        turns: dict[str, list[Turn]] = {name: [] for name in contestants}
        for _ in range(self.rounds):
            for name, contestant in contestants.items():
                started, spent = time.perf_counter(), processor_seconds(contestant.pid)
                contestant.score(files)
                wall = time.perf_counter() - started
                turns[name].append(Turn(wall, processor_seconds(contestant.pid) - spent))
        peaks = {name: peak_megabytes(contestant.pid) for name, contestant in contestants.items()}
        return Size(rows, count, {name: Turns(turns[name], peaks[name]) for name in contestants})


def steps(timings: list[dict[str, float]]) -> Table:
    """Where production's time goes, per file; the rest is commit, shadow and comparison."""
    table = Table("production, ms of a file", *(names := ("read", "validate", "score", "write")))
    table.add_row(
        "median", *(f"{1000 * statistics.median(each.get(step, 0.0) for each in timings):.1f}" for step in names)
    )
    return table


if __name__ == "__main__":
    sys.exit(main("benchmarks.scoring", Bench.__doc__ or "", {}, default=Bench))
