"""A synthetic survey: passengers who never flew, drawn so that a model has something to learn.

Label first: the cell (kind of customer, of travel, class, satisfied or not) is drawn from the joint shares, then the
17 numbers from a Gaussian copula (Nelsen, "An Introduction to Copulas", 2006, section 2.3 with Gaussian margins) with
that cell's own marginals. `marginals.json` holds rounded aggregates of the public survey and no row of it. The few
strong rules of the real answers are in it; whole blocks of equal answers are not, so figures on it say nothing of the
real survey.
"""

from __future__ import annotations

import gzip
import io
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtr

from models.training.airline.schema import (
    CLASSES,
    FEATURE_COLUMNS,
    ID_COLUMN,
    LABEL_COLUMN,
    POSITIVE,
    RATING_COLUMNS,
    ROW_NUMBER_COLUMN,
)

IDS_OF_A_SEED = 10_000_000  # two seeds' passengers are different people
GAPS_SHARE = 0.003  # of the real survey's arrival delays
FEMALE_SHARE = 0.507
DEPARTURE, ARRIVAL = "Departure Delay in Minutes", "Arrival Delay in Minutes"

Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Marginals:
    """The generator's tables; `levels` [Q] are the probabilities of every list of quantiles."""

    levels: Floats
    columns: tuple[str, ...]
    cells: tuple[dict[str, Any], ...]
    correlations: dict[tuple[str, str, bool], Floats]
    departure_above: Floats
    residuals: tuple[Floats, ...]


@cache
def marginals() -> Marginals:
    """The tables beside this module."""
    tables = json.loads(Path(__file__).with_name("marginals.json").read_text())
    return Marginals(
        levels=np.array(tables["levels"]),
        columns=tuple(tables["columns"]),
        cells=tuple(tables["cells"]),
        correlations={
            (entry["travel"], entry["customer"], entry["satisfied"]): _factor(entry["lower"])
            for entry in tables["correlations"]
        },
        departure_above=np.array(tables["arrival"]["departure_above"]),
        residuals=tuple(np.array(row, dtype=np.float64) for row in tables["arrival"]["residuals"]),
    )


def survey(rows: int, seed: int, *, first_id: int = 1, gaps: float = GAPS_SHARE) -> pd.DataFrame:
    """`rows` rows of all columns but the row number; `gaps` is the share of arrival delays left blank (NaN).

    The ids are first_id … first_id + rows - 1 in random order. The same arguments give the same rows.
    """
    tables = marginals()
    random = np.random.default_rng(seed)
    shares = np.array([cell["share"] for cell in tables.cells])
    cell_of_row = random.choice(len(shares), size=rows, p=shares / shares.sum())
    columns: dict[str, Any] = {name: np.empty(rows) for name in tables.columns}
    for index, cell in enumerate(tables.cells):
        mine = np.flatnonzero(cell_of_row == index)
        for name, values in _numbers(tables, cell, len(mine), random).items():
            columns[name][mine] = values
    columns[ARRIVAL] = _arrival(tables, columns[DEPARTURE], random)
    columns[ARRIVAL][random.random(rows) < gaps] = np.nan
    columns = {name: cells if name == ARRIVAL else cells.astype(np.int64) for name, cells in columns.items()}
    columns["Gender"] = np.where(random.random(rows) < FEMALE_SHARE, "Female", "Male")
    for name, field in (("Customer Type", "customer"), ("Type of Travel", "travel"), ("Class", "class")):
        columns[name] = np.array([cell[field] for cell in tables.cells])[cell_of_row]
    negative = next(label for label in CLASSES if label != POSITIVE)
    satisfied = np.array([cell["satisfied"] for cell in tables.cells])[cell_of_row]
    columns[LABEL_COLUMN] = np.where(satisfied, POSITIVE, negative)
    columns[ID_COLUMN] = first_id + random.permutation(rows)
    return pd.DataFrame({name: columns[name] for name in (ID_COLUMN, *FEATURE_COLUMNS, LABEL_COLUMN)})


def write_files(
    out: Path,
    *,
    files: int,
    rows: int,
    seed: int,
    labels: bool = True,
    gaps: float = GAPS_SHARE,
    progress: Callable[[int], None] = lambda done: None,
) -> list[Path]:
    """Writes `files` files of `rows` rows each; the same arguments write the same bytes.

    `out` is the file itself where it ends in .csv or .csv.gz (one file only), else a folder for survey-0001.csv and
    so on. File i depends on the seed and i alone, so asking for more files later changes none of the first ones. A
    file takes its name when it is complete. Raises ValueError, OSError.
    """
    single = out.name.lower().endswith((".csv", ".csv.gz"))
    if single and files != 1:
        raise ValueError(f"{out} names one file, and {files} were asked for: name a folder instead")
    (out.parent if single else out).mkdir(parents=True, exist_ok=True)
    written = []
    for index in range(files):
        first_id = 1 + seed * IDS_OF_A_SEED + index * rows
        table = survey(rows, _seed_of_file(seed, index), first_id=first_id, gaps=gaps)
        path = out if single else out / f"survey-{index + 1:04d}.csv"
        _write(path, table if labels else table.drop(columns=LABEL_COLUMN))
        written.append(path)
        progress(index + 1)
    return written


def _numbers(tables: Marginals, cell: dict[str, Any], rows: int, random: np.random.Generator) -> dict[str, Floats]:
    key = (cell["travel"], cell["customer"], cell["satisfied"])
    # Too few disloyal passengers travel privately for a matrix of their own.
    factor = tables.correlations.get(key, tables.correlations[(key[0], "Loyal Customer", key[2])])
    uniform = ndtr(random.standard_normal((rows, len(tables.columns))) @ factor.T)
    drawn = {}
    for column, name in enumerate(tables.columns):
        chance = uniform[:, column]
        if name in RATING_COLUMNS:
            steps = np.cumsum(cell["ratings"][name])
            drawn[name] = np.searchsorted(steps[:-1] / steps[-1], chance, side="right").astype(np.float64)
        else:
            drawn[name] = np.rint(np.interp(chance, tables.levels, cell["quantiles"][name]))
    return drawn


def _arrival(tables: Marginals, departure: Floats, random: np.random.Generator) -> Floats:
    arrival = departure.copy()
    bins = np.searchsorted(tables.departure_above, departure, side="left")
    chance = random.random(len(departure))
    for index, residuals in enumerate(tables.residuals):
        mine = bins == index
        arrival[mine] += np.rint(np.interp(chance[mine], tables.levels, residuals))
    return np.maximum(arrival, 0.0)


def _factor(lower: list[list[float]]) -> Floats:
    """A matrix L whose L @ L.T is the correlation; rounding can make it slightly indefinite, so eigenvalues are cut."""
    matrix = np.eye(len(lower))
    for row, left in enumerate(lower):
        matrix[row, : len(left)] = matrix[: len(left), row] = left
    values, vectors = np.linalg.eigh(matrix)
    factor = vectors * np.sqrt(np.maximum(values, 0.0))
    unit: Floats = factor / np.linalg.norm(factor, axis=1, keepdims=True)
    return unit


def _seed_of_file(seed: int, index: int) -> int:
    return int(np.random.SeedSequence([seed, index]).generate_state(1, np.uint64)[0])


def _write(path: Path, table: pd.DataFrame) -> None:
    text = io.StringIO()
    table.to_csv(text, index_label=ROW_NUMBER_COLUMN, lineterminator="\n")
    content = text.getvalue().encode()
    if path.name.lower().endswith(".gz"):
        content = gzip.compress(content, mtime=0)  # the time would make other bytes of the same rows
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(content)
    os.replace(part, path)
