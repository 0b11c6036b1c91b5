"""From the turns of all contestants on files of one size to figures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from rich.box import MARKDOWN
from rich.table import Table


@dataclass(frozen=True)
class Turn:
    """What scoring the files once took: seconds on the wall, seconds of processor."""

    wall: float
    processor: float


@dataclass(frozen=True)
class Turns:
    """All turns of one contestant, and its largest memory, all its processes, until then (2^20 bytes)."""

    turns: Sequence[Turn]
    peak_megabytes: float


@dataclass(frozen=True)
class Size:
    """Contestant → its turns, on files of `rows` rows each."""

    rows: int
    files: int
    contestants: Mapping[str, Turns]

    def to_json(self) -> str:
        """One line, medians over the turns."""
        return json.dumps({"rows": self.rows, "contestants": {name: self._figures(name) for name in self.contestants}})

    def table(self) -> Table:
        """A row per contestant; how much quicker the worker is, turn by turn, on the wall and by processor time."""
        table = Table(
            f"files of {self.rows:,} rows", "rows/s", "rows/s of processor", "ms of processor a file", "peak, MB",
            "worker: wall", "processor", box=MARKDOWN,
        )  # fmt: skip
        for column in table.columns[1:]:
            column.justify = "right"
        for name in self.contestants:
            figures = self._figures(name)
            wall, processor = ("" if name == "worker" else f"{ratio:.2f}" for ratio in self._ratios(name))
            table.add_row(
                name,
                f"{figures['rows_per_s']:,.0f}",
                f"{figures['cpu_rows_per_s']:,.0f}",
                f"{figures['cpu_ms_per_file']:,.1f}",
                f"{figures['peak_mb']:,.0f}",
                wall,
                processor,
            )
        return table

    def _figures(self, name: str) -> dict[str, Any]:
        turns, rows = self.contestants[name].turns, self.rows * self.files
        wall, processor = median(turn.wall for turn in turns), median(turn.processor for turn in turns)
        return {
            "rows_per_s": round(rows / wall),
            "cpu_rows_per_s": round(rows / processor),
            "cpu_ms_per_file": round(1000 * processor / self.files, 2),
            "peak_mb": round(self.contestants[name].peak_megabytes),
        }

    def _ratios(self, name: str) -> tuple[float, float]:
        pairs = list(zip(self.contestants["worker"].turns, self.contestants[name].turns, strict=True))
        return (
            median(theirs.wall / ours.wall for ours, theirs in pairs),
            median(theirs.processor / ours.processor for ours, theirs in pairs),
        )
