"""Processor time of a whole worker for one file, by model, size of the file, and where bucket and queue are.

It is read from /proc for the worker and all its scoring processes, from the first message to the last ack, so it holds
what a file costs outside the model too: pulling, reading, claims, receipts, acks. Other programs on the machine do not
count. On the emulators the clients are Google's own, with plain HTTP; TLS to the real services comes on top.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import Field
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from benchmarks.scoring.inputs import write_inputs
from benchmarks.scoring.usage import processor_seconds
from deploy.emulators import NotInstalled, PubSubEmulator, StorageEmulator
from deploy.processes import ROOT, Program, end
from edge.command import Command, main
from ledger.names import COMPARISONS, RECEIPTS
from models.registry.aliases import move
from models.registry.client import PRODUCTION, STAGING
from models.training.airline.dataset import synthetic_dataset
from models.training.airline.training import train_and_register
from models.training.tracking import Tracking
from transport.bucket import Bucket, put
from transport.event import Generation, ObjectEvent
from transport.open import open_bucket, open_queue
from transport.queue import Queue

MODEL = "airline-satisfaction"
CASES = (("forest", ""), ("network", ""), ("boosting", ""), ("forest", "network"))
PATIENCE = 120.0


@dataclass(frozen=True)
class Cost:
    """Milliseconds of processor time per file."""

    place: str
    production: str
    shadow: str
    rows: int
    milliseconds: float


class Cpu(Command):
    """Processor time per file of a whole worker, on a folder and on the emulators of Google's services."""

    rows: list[int] = Field([100, 1_000, 10_000], description="rows of a file, e.g. --rows 100,1000")
    files: int = Field(60, ge=1, description="files of the smallest size; of the larger ones fewer, but at least 10")
    training_rows: int = Field(100_000, ge=1_000, description="synthetic rows to train on")
    epochs: int = Field(2, ge=1, description="epochs of the network: its quality does not matter here")
    as_json: bool = Field(False, alias="json", description="print JSON and nothing else")

    def run(self) -> int:
        if not Path("/proc/self/stat").exists():
            print("benchmarks.cpu: it reads /proc, which only Linux has", file=sys.stderr)
            return 2
        costs: list[Cost] = []
        with tempfile.TemporaryDirectory() as folder, ExitStack() as emulators:
            registry = self._train(Path(folder))
            places = {"folder": (f"{folder}/bucket", f"{folder}/queue.db")}
            try:
                places["cloud"] = emulated(emulators)
            except NotInstalled as error:
                print(f"benchmarks.cpu: only the folder is measured: {error}", file=sys.stderr)
            for place, (bucket, queue) in places.items():
                with closing(open_bucket(bucket)) as opened, closing(open_queue(queue)) as messages:
                    for production, shadow in CASES:
                        set_aliases(registry, production, shadow)
                        costs += self._measure(Path(folder), registry, place, production, shadow, opened, messages)
        if self.as_json:
            print(json.dumps([asdict(cost) for cost in costs], indent=2))
        else:
            Console().print(shown(costs, self.rows))
        return 0

    def _train(self, folder: Path) -> str:
        tracking = Tracking(f"sqlite:///{folder / 'mlflow.db'}")
        training, test = synthetic_dataset(self.training_rows, seed=3), synthetic_dataset(1_000, seed=4)
        for kind in ("forest", "network", "boosting"):
            changes: dict[str, Any] = {"epochs": self.epochs} if kind == "network" else {}
            made = train_and_register(kind, training, test, tracking, MODEL, who="bench", **changes)
            tracking.client.set_registered_model_alias(MODEL, kind, made.version)
        for rows in self.rows:
            write_inputs(folder / f"inputs-{rows}", test if rows < len(test) else training, rows, self._count(rows))
        return tracking.uri

    def _count(self, rows: int) -> int:
        return max(10, self.files * min(self.rows) // rows)

    def _measure(
        self, folder: Path, registry: str, place: str, production: str, shadow: str, bucket: Bucket, queue: Queue
    ) -> list[Cost]:
        environment = {
            "UNDERSTUDY_BUCKET": bucket.url,
            "UNDERSTUDY_QUEUE": queue.url,
            "MLFLOW_TRACKING_URI": registry,
            "UNDERSTUDY_MODEL_CACHE": str(folder / "cache"),
            "UNDERSTUDY_FILENAMES_LOG": "",
            "UNDERSTUDY_REGISTRY_POLL_SECONDS": "3600",
        }
        name = f"{place}-{production}-{shadow}"
        worker = {name: Program(name, ["worker", "--processes", "1"], environment).start(folder)}
        pid, costs = worker[name].pid, []
        try:
            wait_until(lambda: b"worker ready" in (folder / f"{name}.log").read_bytes(), f"{name} is ready")
            marker = COMPARISONS if shadow else RECEIPTS
            for rows in (min(self.rows), *self.rows):  # the first files allocate and connect: they do not count
                files = sorted((folder / f"inputs-{rows}").iterdir())
                events = upload(bucket, name, files)
                before, spent = count(bucket, marker), processor_seconds(pid)
                queue.publish(event.to_message() for event in events)
                wait_until(lambda: count(bucket, marker) >= before + len(files), f"{name} has done them")  # noqa: B023
                each = 1000 * (processor_seconds(pid) - spent) / len(files)
                costs.append(Cost(place, production, shadow, rows, round(each, 2)))
        finally:
            end(worker)
        return costs[1:]


def emulated(emulators: ExitStack) -> tuple[str, str]:
    """Bucket and queue on started emulators, which this process and its children find. Raises NotInstalled."""
    pubsub, storage = PubSubEmulator.installed(), StorageEmulator.installed()
    for emulator in (pubsub, storage):
        emulators.callback(emulator.kill)
        emulator.start()
    os.environ |= {"PUBSUB_EMULATOR_HOST": pubsub.host, "STORAGE_EMULATOR_HOST": storage.url}
    from google.cloud.storage import Client

    Client(project="bench").create_bucket("bench")
    urls = "gs://bench", "pubsub://bench/files"
    provision = [sys.executable, "-m", "publisher", "provision"]
    environment = {**os.environ, "UNDERSTUDY_BUCKET": urls[0], "UNDERSTUDY_QUEUE": urls[1]}
    subprocess.run(provision, cwd=ROOT, env=environment, check=True, capture_output=True)
    return urls


def set_aliases(registry: str, production: str, shadow: str) -> None:
    """Gives each kind its alias; no kind, no alias."""
    client = Tracking(registry).client
    for alias, kind in ((PRODUCTION, production), (STAGING, shadow)):
        if kind:
            version = client.get_model_version_by_alias(MODEL, kind).version
            move(client, MODEL, alias, version, who="bench", why="measuring", when=datetime.now(UTC))
        elif alias in client.get_registered_model(MODEL).aliases:
            client.delete_registered_model_alias(MODEL, alias)


def upload(bucket: Bucket, prefix: str, files: list[Path]) -> list[ObjectEvent]:
    """Puts the files into the bucket under names of their own; gives the events to publish."""
    events = []
    for path in files:
        name = f"{prefix}-{time.time_ns()}-{path.name}"
        info = put(bucket, name, path.read_bytes(), content_type="text/csv")
        events.append(ObjectEvent(bucket.name, name, Generation(info.generation), "2026-01-01T00:00:00Z", info.size))
    return events


def count(bucket: Bucket, folder: str) -> int:
    return sum(1 for _ in bucket.objects(folder, recursive=False))


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {PATIENCE:.0f} s: {what}")
        time.sleep(0.05)


def shown(costs: list[Cost], sizes: list[int]) -> Table:
    """A row per case, a column per size."""
    table = Table("bucket and queue", "production", "shadow", box=MARKDOWN)
    for rows in sizes:
        table.add_column(f"{rows:,} rows, ms", justify="right")
    cases = dict.fromkeys((cost.place, cost.production, cost.shadow) for cost in costs)
    for case in cases:
        found = {cost.rows: cost.milliseconds for cost in costs if (cost.place, cost.production, cost.shadow) == case}
        table.add_row(*case, *(f"{found[rows]:.0f}" for rows in sizes))
    return table


if __name__ == "__main__":
    sys.exit(main("benchmarks.cpu", Cpu.__doc__ or "", {}, default=Cpu))
