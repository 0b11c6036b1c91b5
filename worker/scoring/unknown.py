"""Texts that a model was never shown: how many of a file's, by column, and from which share on the file is rejected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from models.registry.spec import Column
from models.scoring.table.faults import FileFault, Unreadable
from worker.scoring.validate import Rows

FEW = 5  # texts, fewer than which say nothing of a whole file
NAMED = 5
LONGEST = 40  # characters of a text that is named


@dataclass
class UnknownTally:
    """Counts over the batches of one file. `rows`: column → rows with an unknown text, of the closed columns."""

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
        """Adds a batch. `failed`: [n] True for rows that have an error, which count as nothing here."""
        for name, odd in rows.unknown.items():
            texts = rows.coded[name]
            odd = odd & ~failed
            self.rows[name] += int(np.count_nonzero(odd))
            self._texts[name] += int(np.count_nonzero(~rows.gaps[name] & ~failed))
            named = self._named[name]
            if len(named) <= NAMED and odd.any():
                named.update(dict.fromkeys(texts.distinct[texts.codes[odd][:1000]]))

    def refuse(self, most: float) -> None:
        """Raises Unreadable where of a column's texts the share `most` or more is unknown."""
        for column in self.columns:
            count, texts = self.rows.get(column.name, 0), self._texts.get(column.name, 0)
            if texts < FEW or not count or count < most * texts:
                continue
            known = f"only {texts - count:,} of {texts:,} texts are" if count < texts else f"none of {texts:,} texts is"
            raise Unreadable(
                FileFault.UNKNOWN,
                f"{column.name}: {known} known ({_some(list(self._named[column.name]))}); "
                f"known: {_some(list(column.known or ()))}",
                column.name,
            )


def _some(texts: Sequence[str]) -> str:
    listed = ", ".join(repr(text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…") for text in texts[:NAMED])
    return listed if len(texts) <= NAMED else f"{listed}, …"
