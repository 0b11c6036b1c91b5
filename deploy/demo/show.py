"""What the demos show: a line per file while they run, and what came of it all in the end."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.box import SIMPLE
from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from deploy.demo.files import DemoFile
from deploy.processes import ROOT
from ledger.commit import read_receipt
from ledger.names import Key
from ledger.receipt import Outcome, Status
from models.evidence.record.comparison import SCHEMA, Comparison
from transport.bucket import Bucket, ObjectNotFound, get

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


def look(bucket: Bucket, one: Dropped) -> None:
    """Sees which receipts and comparison have come since."""
    for key in one.keys:
        if key not in one.receipts and (receipt := read_receipt(bucket, key)):
            one.receipts[key] = receipt
    if one.keys and not one.compared:
        one.compared = bucket.stat(one.keys[-1].comparison) is not None


def picture(dropped: Sequence[Dropped], processes: Mapping[str, subprocess.Popen[bytes]]) -> Group:
    """The live table: a line per file."""
    table = Table(box=SIMPLE, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))  # 80 columns wide at most
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
            Text("✓" if one.compared else "", style="dim"),
        )
    done = sum(one.receipt is not None for one in dropped)
    alive = ", ".join(name for name, process in processes.items() if process.poll() is None)
    return Group(table, Text(f"{done} of {len(dropped)} files have their receipt; running: {alive}", style="dim"))


def merged_comparisons(bucket: Bucket, dropped: Sequence[Dropped]) -> Comparison | None:
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


def conclude(
    bucket: Bucket,
    console: Console,
    dropped: Sequence[Dropped],
    statuses: Mapping[str, int],
    places: Mapping[str, str],
    logs: Path,
) -> int:
    """Shows what came of it, and where (`places`: what → where); 0 where every content dropped has its receipt,
    both models were compared and every program ended well (`statuses`)."""
    missing = [str(key) for one in dropped for key in one.keys if key not in one.receipts]
    missing += [one.file.name for one in dropped if not one.keys]
    comparison = merged_comparisons(bucket, dropped)
    if comparison is not None:
        console.print(Panel(summary(comparison), title="production against its shadow", expand=False))
    shown = Table.grid(padding=(0, 2))
    for what, where in places.items():
        shown.add_row(what, where)
    console.print(shown)
    if missing:
        console.print(f"[red]without a receipt: {', '.join(missing)}[/red]; the logs in {logs} say why")
    if failed := [f"{name} ended with {status}" for name, status in statuses.items() if status]:
        console.print(f"[red]{'; '.join(failed)}[/red]")
    return 1 if missing or failed or comparison is None else 0


def typed(path: Path) -> Path:
    """A path as one would type it at the project's root."""
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
