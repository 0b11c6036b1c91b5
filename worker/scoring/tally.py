"""What is counted in a file on its way: rows, errors, and texts that the model was never shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ledger.receipt import MAX_LISTED_ERRORS, RowError
from models.registry.spec import Column
from models.scoring.table.columns import Rows
from models.scoring.table.faults import FileFault, RowFault, Unreadable
from worker.scoring.predicted import Predicted

FEW_TEXTS = 5  # a column with fewer texts says nothing about the whole file
NAMED_TEXTS = 5
LONGEST_TEXT = 40  # characters of a text that is named


@dataclass
class Tally:
    """What was counted in a file: all rows, rows without a score by reason, their first errors, and unknown texts."""

    rows: int = 0
    rejected: Counter[RowFault] = field(default_factory=Counter)
    errors: list[RowError] = field(default_factory=list)
    unknown: dict[str, int] | None = None

    def count(self, predicted: Predicted) -> None:
        self.rows += len(predicted.labels)
        self.rejected.update(fault.kind for fault in predicted.faults.values())
        for index in sorted(predicted.faults)[: max(0, MAX_LISTED_ERRORS - len(self.errors))]:
            fault = predicted.faults[index]
            self.errors.append(RowError(fault.message, predicted.first_row + index, fault.column))

    def refuse_without_answers(self) -> None:
        """Raises Unreadable where not one of the rows could be scored."""
        if self.rows and self.rejected.total() == self.rows:
            first = "; ".join(dict.fromkeys(_named(error) for error in self.errors[:3]))
            said = f"none of the {self.rows:,} rows could be scored: {first}"
            if {*self.rejected} == {RowFault.ENCODING}:
                raise Unreadable(
                    FileFault.ENCODING, f"{said}; save it as UTF-8, or name its encoding (UNDERSTUDY_ENCODING)"
                )
            raise Unreadable(FileFault.NO_ROW, said)


@dataclass
class UnknownTally:
    """Texts that the model was never shown, counted over the batches of one file.

    `rows`: column → rows with such a text, for the columns whose texts the model knows.
    """

    columns: Sequence[Column]
    rows: dict[str, int] = field(default_factory=dict)
    _texts: dict[str, int] = field(default_factory=dict)
    _named: dict[str, dict[str, None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for column in self.columns:
            if column.known is not None:
                self.rows[column.name] = self._texts[column.name] = 0
                self._named[column.name] = {}

    def count(self, rows: Rows, failed: np.ndarray[Any, Any]) -> None:
        """Adds a batch. `failed`: [n] True for rows that have an error, which are not counted."""
        for name, odd in rows.unknown.items():
            texts = rows.coded[name]
            odd = odd & ~failed
            self.rows[name] += int(np.count_nonzero(odd))
            self._texts[name] += int(np.count_nonzero(~rows.gaps[name] & ~failed))
            named = self._named[name]
            if len(named) <= NAMED_TEXTS and odd.any():
                named.update(dict.fromkeys(texts.distinct[texts.codes[odd][:1000]]))

    def refuse(self, most: float) -> None:
        """Raises Unreadable where the share `most` or more of a column's texts is unknown."""
        for column in self.columns:
            count, texts = self.rows.get(column.name, 0), self._texts.get(column.name, 0)
            if texts < FEW_TEXTS or not count or count < most * texts:
                continue
            known = f"only {texts - count:,} of {texts:,} texts are" if count < texts else f"none of {texts:,} texts is"
            raise Unreadable(
                FileFault.UNKNOWN,
                f"{column.name}: {known} known ({_listed(list(self._named[column.name]))}); "
                f"known: {_listed(list(column.known or ()))}",
                column.name,
            )


def _listed(texts: Sequence[str]) -> str:
    short = (text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 1]}…" for text in texts[:NAMED_TEXTS])
    return ", ".join(map(repr, short)) + (", …" if len(texts) > NAMED_TEXTS else "")


def _named(error: RowError) -> str:
    where = f", column {error.column!r}" if error.column else ""
    return f"row {error.row}{where} {error.message}"
