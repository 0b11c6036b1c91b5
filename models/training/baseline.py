"""How the training data is spread over each column: the histogram that drift is measured against later.

Read back by models.evidence.record.columns.TrainingBins.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from models.scoring.table.gaps import trimmed

MOST_BINS = 20


def training_profile(rows: pd.DataFrame, types: Mapping[str, str]) -> dict[str, Any]:
    """Column → its histogram as plain data. `types`: column → `string`, or any other name for numbers."""
    return {
        name: _text(rows[name].to_numpy(object)) if kind == "string" else _numbers(rows[name].to_numpy(np.float64))
        for name, kind in types.items()
    }


def _numbers(cells: np.ndarray[Any, Any]) -> dict[str, Any]:
    """`edges` (M+1), `counts` (M), `gaps`: a bin per value where there are few, else bins of about equal counts.

    A value on an edge belongs to the bin above it, and what lies beyond the edges to the outermost bins.
    """
    known = cells[np.isfinite(cells)]
    values = np.unique(known)
    if values.size == 0:
        edges = np.array([0.0, 1.0])
    elif values.size <= MOST_BINS:
        edges = np.concatenate([[values[0] - 0.5], (values[1:] + values[:-1]) / 2, [values[-1] + 0.5]])
    else:
        edges = np.unique(np.quantile(known, np.linspace(0, 1, MOST_BINS + 1), method="nearest"))
    counts = np.bincount(np.searchsorted(edges[1:-1], known, side="right"), minlength=len(edges) - 1)
    return {"edges": edges.tolist(), "counts": counts.tolist(), "gaps": int(len(cells) - known.size)}


def _text(cells: np.ndarray[Any, Any]) -> dict[str, Any]:
    """`categories` and `counts`, most frequent first; `other`: the texts beyond MOST_BINS, `gaps`: the empty ones."""
    texts, counts = np.unique(
        np.array([trimmed(str(cell)) for cell in np.where(pd.isna(cells), "", cells)], dtype=str), return_counts=True
    )
    order = sorted(range(len(texts)), key=lambda at: (-counts[at], texts[at]))
    ranked = [(str(texts[at]), int(counts[at])) for at in order if texts[at] != ""]
    return {
        "categories": [text for text, _ in ranked[:MOST_BINS]],
        "counts": [count for _, count in ranked[:MOST_BINS]],
        "other": sum(count for _, count in ranked[MOST_BINS:]),
        "gaps": int(counts[texts == ""].sum()),
    }
