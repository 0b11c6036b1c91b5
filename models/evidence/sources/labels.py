"""Labels that come after the predictions: joined by id to what was predicted then."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from models.evidence.record.identity import identity
from models.scoring.table.gaps import trimmed

MOST_NAMED = 20


@dataclass(frozen=True)
class Joined:
    """How the labels met the rows: counts, and the first few ids of each that found no partner, in order of arrival."""

    labels: int
    rows: int
    rows_labelled: int
    rows_without_label: int
    labels_without_row: int
    contradicted: int
    left_out: int
    named_rows: tuple[str, ...]
    named_labels: tuple[str, ...]
    named_contradicted: tuple[str, ...]

    def __str__(self) -> str:
        parts = [f"{self.rows_labelled:,} of {self.rows:,} rows have a label"]
        for count, what, named in (
            (self.labels_without_row, "labels belong to no predicted row", self.named_labels),
            (self.contradicted, "ids have labels that contradict each other and are left out", self.named_contradicted),
        ):
            if count:
                parts.append(f"{count:,} {what} ({', '.join(named[:5])}{', …' if count > 5 else ''})")
        if self.left_out:
            parts.append(f"{self.left_out:,} rows of the label files cannot be read and are left out")
        return "; ".join(parts)


@dataclass
class LateLabels:
    """Labels by id. An id predicted in several files labels its row in each; one with two labels labels none.

    `classes`: labels that are texts even where they look like gaps; `left_out`: rows of labels that cannot be read.
    """

    classes: tuple[str, ...] = ()
    left_out: int = 0
    _of: dict[str, str] = field(default_factory=dict)
    _contradicted: dict[str, None] = field(default_factory=dict)
    _met: set[str] = field(default_factory=set)
    _rows: int = 0
    _labelled: int = 0
    _lonely: list[str] = field(default_factory=list)

    def add(self, ids: Iterable[str | None], labels: Iterable[str | None]) -> None:
        """Adds labels; rows of the label file without an id or a label are passed over. Ids are compared as text."""
        for given_id, given_label in zip(ids, labels, strict=True):
            key, label = identity(given_id), trimmed(given_label or "")
            if key and label and self._of.setdefault(key, label) != label:
                self._contradicted[key] = None

    def afresh(self) -> LateLabels:
        """A copy with the same labels and no counts."""
        return LateLabels(self.classes, self.left_out, self._of, self._contradicted)

    def truth(self, ids: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """For N predicted rows (ids as an object array, None where a row has none) their labels; None for no label."""
        found: npt.NDArray[Any] = np.full(len(ids), None, dtype=object)
        for at, given in enumerate(ids):
            key = identity(given)
            label = self._of.get(key)
            if label is not None:
                self._met.add(key)
                if key not in self._contradicted:
                    found[at] = label
            elif len(self._lonely) < MOST_NAMED:
                self._lonely.append(key)
        self._rows += len(ids)
        self._labelled += int(np.count_nonzero(found != np.array(None)))
        return found

    def joined(self) -> Joined:
        """What became of all labels and of all rows that `truth` was asked about."""
        alone = [key for key in self._of if key not in self._met]
        return Joined(
            labels=len(self._of),
            rows=self._rows,
            rows_labelled=self._labelled,
            rows_without_label=self._rows - self._labelled,
            labels_without_row=len(alone),
            contradicted=len(self._contradicted),
            left_out=self.left_out,
            named_rows=tuple(self._lonely),
            named_labels=tuple(alone[:MOST_NAMED]),
            named_contradicted=tuple(self._contradicted)[:MOST_NAMED],
        )
