"""How closely two columns go together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.profile.kinds import Cells


def cramers_v(counts: NDArray[np.int64]) -> float:
    """Cramér's V of a table of counts, corrected for chance: 0 no association, 1 one column gives the other.

    Source: W. Bergsma, A bias-correction for Cramér's V and Tschuprow's T, Journal of the Korean Statistical Society
    42(3), 2013. Sees any shape of dependence, not only rising lines. 0 where either has one value only.
    """
    table = counts[counts.sum(axis=1) > 0][:, counts.sum(axis=0) > 0].astype(np.float64)
    rows, columns = table.shape
    n = table.sum()
    if rows < 2 or columns < 2 or n < 2:
        return 0.0
    expected = table.sum(axis=1, keepdims=True) @ table.sum(axis=0, keepdims=True) / n
    phi2 = float(np.sum((table - expected) ** 2 / expected) / n)
    phi2 = max(0.0, phi2 - (rows - 1) * (columns - 1) / (n - 1))
    rows_corrected = rows - (rows - 1) ** 2 / (n - 1)
    columns_corrected = columns - (columns - 1) ** 2 / (n - 1)
    least = min(rows_corrected, columns_corrected) - 1
    return float(min(1.0, np.sqrt(phi2 / least))) if least > 0 else 0.0


def correlations(columns: Sequence[Cells]) -> tuple[list[str], NDArray[np.float64]]:
    """Names of K columns and their K × K matrix of Pearson correlations, neighbours alike; over rows without gaps.

    Numbers and levels as they are, a text of two values as 0 and 1 (its name then says which value is 1). NaN where
    one of two columns does not vary.
    """
    import pandas as pd

    held: dict[str, NDArray[np.float64]] = {}
    for cells in columns:
        if cells.numbers is not None:
            held[cells.name] = cells.numbers
        else:
            values = sorted(cells.texts.dropna().unique())
            if len(values) == 2:
                ones = (cells.texts == values[1]).to_numpy(dtype=np.float64, na_value=np.nan)
                held[f"{cells.name} = {values[1]}"] = np.where(cells.texts.isna(), np.nan, ones)
    if len(held) < 2:
        return list(held), np.ones((len(held), len(held)))
    matrix = pd.DataFrame(held).corr(min_periods=3).to_numpy(dtype=np.float64)
    order = _neighbours(matrix)
    names = list(held)
    return [names[at] for at in order], matrix[np.ix_(order, order)]


def _neighbours(matrix: NDArray[np.float64]) -> list[int]:
    """An order in which columns that correlate strongly stand together."""
    from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering
    from scipy.spatial.distance import squareform

    apart = 1.0 - np.abs(np.nan_to_num(matrix))
    apart = (apart + apart.T) / 2
    np.fill_diagonal(apart, 0.0)
    condensed = squareform(np.clip(apart, 0.0, None), checks=False)
    tree = linkage(condensed, "average")
    return [int(at) for at in leaves_list(optimal_leaf_ordering(tree, condensed))]
