"""Which texts a model was shown in training: what a worker counts unknown texts by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

MOST = 1_000  # different texts; a column of more is open, as one of names or remarks is
FEW = 20


def shown_texts(rows: pd.DataFrame, types: Mapping[str, str]) -> dict[str, list[str] | None]:
    """Column of text → its texts in order, gaps left out; None where it is open: any text may come.

    `types`: column → `string`, or any other name for numbers.
    """
    return {name: _closed(rows[name].to_numpy(object)) for name, kind in types.items() if kind == "string"}


def _closed(cells: np.ndarray[Any, Any]) -> list[str] | None:
    present = [str(cell) for cell in cells[~pd.isna(cells)] if cell != ""]
    texts = sorted(set(present))
    is_open = len(texts) > MOST or (len(texts) > FEW and 2 * len(texts) > len(present))
    return None if is_open else texts
