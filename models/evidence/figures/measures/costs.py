"""What each kind of mistake costs, and what each right answer earns: from a file, or from JSON on the command line."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from models.evidence.figures.measures.bad_measure import BadMeasure

_EXAMPLE = '{"no": {"no": 0, "yes": 1}, "yes": {"no": 5, "yes": -2}}'
_MOST_CHARACTERS = 10_000_000


@dataclass(frozen=True)
class Costs:
    """By true class the cost of each predicted class; `name`: where they come from."""

    name: str
    of: Mapping[str, Mapping[str, float]]

    @classmethod
    def read(cls, given: str) -> Costs:
        """JSON, or the path of a file of JSON or CSV, whose first row and column name the classes.

        Raises BadMeasure, which names the file, the row and the column.
        """
        text, name = given, "--cost"
        if not given.lstrip().startswith("{"):
            name = given
            try:
                with Path(given).open(encoding="utf-8-sig") as stream:
                    text = stream.read(_MOST_CHARACTERS)
            except (OSError, UnicodeDecodeError) as error:
                reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8"
                raise BadMeasure(f"the costs in {given!r} cannot be read: {reason}; or give JSON: {_EXAMPLE}") from None
        of = _from_json(name, text) if text.lstrip().startswith("{") else _from_csv(name, text)
        return cls(name, of)

    def matrix(self, classes: Sequence[str]) -> tuple[tuple[float, ...], ...]:
        """[K][K] the true class by the predicted. Raises BadMeasure where they are of other classes, or all equal."""
        known = ", ".join(classes)
        for true, row in self.of.items():
            for label in (true, *row):
                if label not in classes:
                    raise BadMeasure(f"{self.name}: {label!r} is none of the classes {known}")
        for true in classes:
            for predicted in classes:
                if predicted not in self.of.get(true, {}):
                    raise BadMeasure(
                        f"{self.name}: no cost is given for row {true!r} (the true class), column {predicted!r} (the "
                        f"predicted one); every pair of the classes {known} takes one"
                    )
        found = tuple(tuple(self.of[true][predicted] for predicted in classes) for true in classes)
        if all(len(set(row)) == 1 for row in found):
            raise BadMeasure(f"{self.name}: every answer to a row costs the same, so no model can be better")
        return found


def _from_json(name: str, text: str) -> dict[str, dict[str, float]]:
    try:
        given = json.loads(text)
    except ValueError as error:
        raise BadMeasure(f"{name} is no JSON: {error}") from None
    if not all(isinstance(row, dict) for row in given.values()):
        raise BadMeasure(f"{name}: each true class takes the costs of each predicted class: {_EXAMPLE}")
    return {
        true: {predicted: _number(name, true, predicted, value) for predicted, value in row.items()}
        for true, row in given.items()
    }


def _from_csv(name: str, text: str) -> dict[str, dict[str, float]]:
    rows = [[cell.strip() for cell in row] for row in csv.reader(io.StringIO(text)) if any(map(str.strip, row))]
    if len(rows) < 2:
        raise BadMeasure(f"{name} takes a first row of predicted classes, and a row per true class that begins with it")
    _, *predicted = rows[0]
    found: dict[str, dict[str, float]] = {}
    for true, *cells in rows[1:]:
        if len(cells) != len(predicted) or true in found or len(set(predicted)) != len(predicted):
            raise BadMeasure(f"{name}, row {true!r}: has {len(cells)} costs for {len(predicted)} columns, or is twice")
        found[true] = {label: _number(name, true, label, cell) for label, cell in zip(predicted, cells, strict=True)}
    return found


def _number(name: str, row: str, column: str, value: object) -> float:
    try:
        number = float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number) or abs(number) > 1e9:
        raise BadMeasure(f"{name}, row {row!r}, column {column!r}: {value!r} is no number that a row may cost")
    return number
