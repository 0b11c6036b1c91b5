"""`make demo`: the whole way of twenty files on this machine, from training to the comparison, in one command."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import Field
from rich.box import SIMPLE
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from deploy.demo_files import ROWS, DemoFile, demo_files
from deploy.processes import ROOT, Program, end
from edge.command import Command, main
from ledger.commit import read_receipt
from ledger.names import Key
from ledger.receipt import Outcome, Status
from models.evidence.record import SCHEMA, Comparison
from transport.bucket import Bucket, ObjectNotFound, get
from transport.event import Generation
from transport.open import open_bucket

SECONDS_BETWEEN_FILES = 0.15
COLOURS = {Status.SCORED: "green", Status.REJECTED: "yellow", Status.SUPERSEDED: "cyan", Status.DEAD_LETTERED: "red"}


@dataclass
class Dropped:
    """One file in the bucket, and what has become of it so far."""

    file: DemoFile
    keys: list[Key] = field(default_factory=list)
    receipts: dict[Key, Outcome] = field(default_factory=dict)
    compared: bool = False

    @property
    def receipt(self) -> Outcome | None:
        """The receipt of its newest content."""
        return self.receipts.get(self.keys[-1]) if self.keys else None

    @property
    def finished(self) -> bool:
        receipt = self.receipt
        return receipt is not None and (receipt.status is not Status.SCORED or self.compared)


class Demo(Command):
    """Trains on a synthetic sample, drops 20 files, shows them being scored; exit 0 only if each has its receipt."""

    folder: Path = Field(ROOT / ".run" / "demo", description="made anew at each run")
    workers: int = Field(2, ge=1, description="how many workers")
    seconds: float = Field(120.0, gt=0, description="how long the scoring may take")

    def run(self) -> int:
        console = Console()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        environment = {
            "BUCKET": str(self.folder / "bucket"),
            "QUEUE": str(self.folder / "queue.db"),
            "MLFLOW_TRACKING_URI": f"sqlite:///{self.folder / 'mlflow.db'}",
            "MODEL_CACHE": str(self.folder / "model-cache"),
            "FILENAMES_LOG": str(self.folder / "new_data_filenames.txt"),
        }
        console.rule("1 of 3: training both models on a synthetic sample")
        trained = subprocess.run(
            [sys.executable, "-m", "models", "train", "forest", "network"],
            cwd=ROOT,
            env={**os.environ, **environment},
            check=False,
        )
        if trained.returncode:
            console.print("[red]the training failed; what it says above is why[/red]")
            return 1
        console.rule("2 of 3: publisher, workers, and twenty files")
        bucket = open_bucket(environment["BUCKET"])
        processes = {}
        programs = [Program("publisher", ["publisher"], environment)]
        programs += [
            Program(f"worker-{number}", ["worker", "--processes", "1"], environment)
            for number in range(1, self.workers + 1)
        ]
        try:
            for program in programs:
                processes[program.name] = program.start(self.folder)
            dropped = self._drop_and_watch(bucket, console, processes)
        finally:
            statuses = end(processes)
        console.rule("3 of 3: what came of it")
        return self._conclude(bucket, console, dropped, statuses)

    def _drop_and_watch(
        self, bucket: Bucket, console: Console, processes: dict[str, subprocess.Popen[bytes]]
    ) -> list[Dropped]:
        files = demo_files(self._clean_files())
        dropped = [Dropped(file) for file in files]
        to_drop = list(dropped)
        replacing = [one for one in dropped if one.file.replacement is not None]
        deadline = time.monotonic() + self.seconds
        with Live(console=console, refresh_per_second=8, transient=False) as live:
            while time.monotonic() < deadline:
                if to_drop:
                    one = to_drop.pop(0)
                    self._drop(bucket, one, one.file.content)
                elif replacing and replacing[0].receipts:
                    one = replacing.pop()
                    self._drop(bucket, one, one.file.replacement or b"")
                for one in dropped:
                    look(bucket, one)
                live.update(picture(dropped, processes))
                if not to_drop and not replacing and all(one.finished for one in dropped):
                    break
                if all(process.poll() is not None for process in processes.values()):
                    break
                time.sleep(SECONDS_BETWEEN_FILES)
        return dropped

    def _clean_files(self) -> list[bytes]:
        with tempfile.TemporaryDirectory() as folder:
            options = ["--rows", str(ROWS), "--files", "21", "--seed", "2026", "--labels", "--out", folder]
            subprocess.run(
                [sys.executable, "-m", "models", "sample", *options], cwd=ROOT, check=True, stdout=subprocess.DEVNULL
            )
            return [path.read_bytes() for path in sorted(Path(folder).glob("*.csv"))]

    def _drop(self, bucket: Bucket, one: Dropped, content: bytes) -> None:
        # As a person does: a plain copy into the folder.
        with tempfile.NamedTemporaryFile(dir=self.folder, delete=False) as file:
            file.write(content)
        shutil.move(file.name, Path(bucket.url) / one.file.name)
        info = bucket.stat(one.file.name)
        if info is not None:
            one.compared = False
            one.keys.append(Key(one.file.name, Generation(info.generation)))

    def _conclude(self, bucket: Bucket, console: Console, dropped: list[Dropped], statuses: dict[str, int]) -> int:
        missing = [str(key) for one in dropped for key in one.keys if key not in one.receipts]
        comparison = merged_comparisons(bucket, dropped)
        shown = Table.grid(padding=(0, 2))
        place = _shown(Path(bucket.url))
        shown.add_row("predictions", f"{place}/output/pred_*.csv")
        shown.add_row("receipts", f"{place}/output/receipts/")
        shown.add_row("comparisons", f"{place}/output/comparisons/")
        shown.add_row("logs", f"{_shown(self.folder)}/*.log, new_data_filenames.txt")
        registry = f"sqlite:///{_shown(self.folder)}/mlflow.db"
        shown.add_row("MLflow UI", f"{_shown(Path(sys.executable))} -m mlflow ui --backend-store-uri {registry}")
        if comparison is not None:
            console.print(Panel(summary(comparison), title="production against its shadow", expand=False))
        console.print(shown)
        if missing:
            console.print(f"[red]without a receipt: {', '.join(missing)}[/red]; the logs in {self.folder} say why")
        if failed := [f"{name} ended with {status}" for name, status in statuses.items() if status]:
            console.print(f"[red]{'; '.join(failed)}[/red]")
        return 1 if missing or failed or comparison is None else 0


def _shown(path: Path) -> Path:
    """A path as one would type it at the project's root."""
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path


def look(bucket: Bucket, one: Dropped) -> None:
    """Sees which receipts and comparison have come since."""
    for key in one.keys:
        if key not in one.receipts and (receipt := read_receipt(bucket, key)):
            one.receipts[key] = receipt
    if one.keys and not one.compared:
        one.compared = bucket.stat(one.keys[-1].comparison) is not None


def picture(dropped: list[Dropped], processes: dict[str, subprocess.Popen[bytes]]) -> Group:
    """The live table: a line per file."""
    table = Table(box=SIMPLE, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("file", no_wrap=True)
    table.add_column("what it is", no_wrap=True)
    table.add_column("status", no_wrap=True)
    for title in ("rows", "bad", "ms", "by"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("shadow", no_wrap=True)
    workers = sorted({one.receipt.worker for one in dropped if one.receipt})
    for one in dropped:
        receipt = one.receipt
        if receipt is None:
            table.add_row(one.file.name, one.file.what, Text("waiting" if one.keys else "", style="dim"))
            continue
        table.add_row(
            one.file.name,
            one.file.what,
            Text(receipt.status.value, style=COLOURS[receipt.status]),
            str(receipt.rows or ""),
            str(receipt.rejected_rows or ""),
            f"{1000 * sum(receipt.timings.values()):.0f}" if receipt.timings else "",
            f"#{workers.index(receipt.worker) + 1}",
            Text("compared" if one.compared else "", style="dim"),
        )
    done = sum(one.receipt is not None for one in dropped)
    alive = ", ".join(name for name, process in processes.items() if process.poll() is None)
    return Group(table, Text(f"{done} of {len(dropped)} files have their receipt; running: {alive}", style="dim"))


def merged_comparisons(bucket: Bucket, dropped: list[Dropped]) -> Comparison | None:
    """All files' comparison records in one; None where there is none."""
    merged: Comparison | None = None
    for one in dropped:
        try:
            record = json.loads(get(bucket, one.keys[-1].comparison))
        except (ObjectNotFound, IndexError):
            continue
        if record.get("schema") != SCHEMA:
            continue
        comparison = Comparison.from_json(record)
        if merged is None:
            merged = comparison
        else:
            merged.merge(comparison)
    return merged


def summary(comparison: Comparison) -> Table:
    """Agreement and both accuracies."""
    both, only_production, only_staging, _ = (int(count) for count in comparison.paired)
    labelled, compared = int(comparison.paired.sum()), int(comparison.agreement.sum())
    agreed = int(comparison.agreement.trace())
    table = Table.grid(padding=(0, 2))
    table.add_row(
        "versions",
        f"{comparison.pair.production} in production, version {comparison.pair.staging.version} in its shadow",
    )
    table.add_row("agreement", f"{agreed / max(compared, 1):.2%} of {compared:,} rows")
    table.add_row(
        "accuracy, production", f"{(both + only_production) / max(labelled, 1):.2%} of {labelled:,} labelled rows"
    )
    table.add_row("accuracy, staging", f"{(both + only_staging) / max(labelled, 1):.2%}")
    return table


if __name__ == "__main__":
    sys.exit(main("deploy.demo", Demo.__doc__ or "", {}, default=Demo))
