"""Labels that come after the predictions: joined by id to what was predicted then."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from ledger.names import INPUT_ENDINGS, LABELS
from models.evidence.record.identity import identity
from models.evidence.sources.streams import spooled
from models.scoring.table.cells import copied, text_cells, unfit_cells
from models.scoring.table.faults import Unreadable
from models.scoring.table.gaps import trimmed
from models.scoring.table.opened import open_table
from transport.bucket import Bucket, ObjectNotFound

MOST_NAMED = 20


class BadLabels(Exception):
    """A file of labels cannot be used; the text says which, and why."""


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


def label_objects(bucket: Bucket) -> list[tuple[str, int]]:
    """Name and generation of each file of labels in the bucket."""
    found = bucket.objects(LABELS, recursive=False)
    return [(info.name, info.generation) for info in found if info.name.lower().endswith(INPUT_ENDINGS)]


def read_labels(bucket: Bucket, objects: Iterable[tuple[str, int]], column: str | None, into: LateLabels) -> list[str]:
    """Adds the labels of these files; gives what is wrong with those that cannot be used."""
    wrong = []
    for name, generation in objects:
        with ExitStack() as stack:
            try:
                add_labels(spooled(stack, bucket, name, generation), name, column, into)
            except ObjectNotFound:
                continue  # replaced meanwhile: the next look sees the new one
            except BadLabels as error:
                wrong.append(str(error))
    return wrong


def read_label_file(path: Path, column: str | None, into: LateLabels) -> None:
    """Adds the labels of a file of this machine. Raises BadLabels."""
    try:
        with path.open("rb") as stream:
            add_labels(stream, str(path), column, into)
    except OSError as error:
        raise BadLabels(f"{path} cannot be read: {error.strerror or error}") from None


def add_labels(stream: BinaryIO, name: str, column: str | None, into: LateLabels) -> None:
    """Adds the labels of a CSV with a header. Raises BadLabels.

    The label stands in `column`, or in `label`; the id in `id`; of two columns the one that is not the other is meant.
    """
    try:
        table = open_table(stream, name, None, all_columns=True)
        row_id, label = _columns(tuple(table.columns), column, name)
        for batch in table.batches():
            ids, labels = batch.cells[row_id], text_cells(batch.cells[label], into.classes)
            sound = np.array([position not in batch.faults for position in batch.positions.tolist()], dtype=bool)
            sound &= ~unfit_cells(ids).to_numpy(zero_copy_only=False)
            sound[list(labels.bad)] = False
            into.left_out += batch.rows - int(np.count_nonzero(sound))
            into.add(np.asarray(copied(ids).to_pylist(), dtype=object)[sound], labels.values[sound])
    except Unreadable as error:
        raise BadLabels(f"{name} is no CSV that can be read: {error}") from None


def _columns(header: Sequence[str], column: str | None, name: str) -> tuple[str, str]:
    """The names of the columns of ids and of labels. Raises BadLabels."""
    folded = {each.casefold(): each for each in reversed(header)}
    label = next((folded[each.casefold()] for each in (column, "label") if each and each.casefold() in folded), None)
    row_id = folded.get("id")
    if len(header) == 2:
        if label is None and row_id is not None:
            label = next(each for each in header if each != row_id)
        if row_id is None and label is not None:
            row_id = next(each for each in header if each != label)
    if row_id is None or label is None or row_id == label:
        raise BadLabels(
            f"{name} has the columns {', '.join(header[:20]) or '(none)'}; of labels that come later it takes `id` and "
            f"{f'`{column}`' if column else '`label`'}"
        )
    return row_id, label
