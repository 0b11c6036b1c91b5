"""Rows of a file with their answers, on their way from the model to the output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from models.scoring.table.cells import Coded
from models.scoring.table.faults import Fault


@dataclass(frozen=True)
class Predicted:
    """N consecutive rows of a file, the first of which is number `first_row`.

    `labels` [N] str objects (None where the row failed), `probabilities` [N, K], `faults`: index → what was wrong,
    `ids` (a string array) and `truth` [N] where the file has those columns, "" for rows that have no cells; `columns`:
    the model's inputs of the `positions` [n] that could be split into cells; `carried`: an array [N] of each column
    that is copied, as of `ids`.
    """

    first_row: int
    labels: np.ndarray[Any, Any]
    probabilities: np.ndarray[Any, Any]
    faults: dict[int, Fault]
    ids: pa.Array | None
    truth: Coded | None
    positions: np.ndarray[Any, Any]
    columns: dict[str, Coded]
    carried: Sequence[pa.Array] = ()

    @property
    def error_texts(self) -> dict[int, str]:
        """What the output says of each failed row."""
        return {
            index: f"{fault.column}: {fault.message}" if fault.column else fault.message
            for index, fault in self.faults.items()
        }

    def columns_of_all(self) -> dict[str, Coded]:
        """The model's inputs of all N rows; gaps in those that have no cells."""
        count = len(self.labels)
        if len(self.positions) == count:
            return self.columns
        return {name: cells.spread(self.positions, count) for name, cells in self.columns.items()}
