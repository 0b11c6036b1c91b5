"""What a bucket holds of a comparison: the records of its files, and labels that came later."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ledger.commit import SOURCE_GENERATION
from ledger.names import COMPARISONS, LABELS, Key, parse_key
from models.evidence.record.comparison import Comparison
from models.evidence.record.pair import Version
from models.evidence.sources.labels import LateLabels
from models.evidence.sources.late_labels import NotJoined, Streams, with_late_labels
from models.scoring.table.cells import copied, text_cells, unfit_cells
from models.scoring.table.faults import Unreadable
from models.scoring.table.read import Table
from transport.bucket import Bucket, ObjectNotFound, get
from transport.event import Generation

FAILED_SCHEMA = "understudy.comparison.failed"
PAGE = 32  # records that are read at once
MEMORY_OF_SPOOL = 8 << 20


class BadLabels(Exception):
    """A file of labels cannot be used; the text says which, and why."""


@dataclass(frozen=True)
class Failed:
    """A file that could not be compared, and why."""

    production: Version
    staging: Version
    event_time: datetime | None
    reason: str


@dataclass(frozen=True)
class Found:
    """What lies under one name: a record, a failure, or something that cannot be read (its reason)."""

    key: Key
    what: Comparison | Failed | str


def comparison_keys(bucket: Bucket) -> list[Key]:
    """Every comparison there is; of one file the newest first, whose outputs still stand."""
    found = (parse_key(info.name, COMPARISONS) for info in bucket.objects(COMPARISONS))
    keys = [key for key in found if key is not None]
    return sorted(keys, key=lambda key: (key.name, -key.generation.content, -key.generation.rescore))


def read_comparisons(bucket: Bucket, keys: Iterable[Key]) -> Iterator[Found]:
    """What lies there, in that order, read a page at a time; what is gone meanwhile is passed over."""
    rest = iter(keys)
    with ThreadPoolExecutor(8, thread_name_prefix="records") as threads:
        while page := list(islice(rest, PAGE)):
            for key, content in zip(page, threads.map(lambda key: _content(bucket, key), page), strict=True):
                if content is not None:
                    yield Found(key, _understood(content))


def _content(bucket: Bucket, key: Key) -> bytes | None:
    try:
        return get(bucket, key.comparison)
    except ObjectNotFound:
        return None


def _understood(content: bytes) -> Comparison | Failed | str:
    try:
        fields = json.loads(content)
        if fields.get("schema") != FAILED_SCHEMA:
            return Comparison.from_json(fields)
        at = datetime.fromisoformat(fields["file"]["event_time"])
        sides = _version(fields["production"]), _version(fields["staging"])
        return Failed(*sides, at if at.tzinfo else at.replace(tzinfo=UTC), str(fields["failed"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return str(error) or repr(error)


def _version(text: str) -> Version:
    name, _, version = text.rpartition(" version ")
    return Version(name, version)


def relabel(bucket: Bucket, old: Comparison, late: LateLabels) -> Comparison:
    """The file's record made again with labels that came later. Raises NotJoined where that can no longer be.

    Only what was predicted then counts: the content and the outputs of that very scoring.
    """
    if old.file is None:
        raise NotJoined("the record names no file")
    key = Key(old.file.name, Generation.parse(old.file.generation))
    try:
        with ExitStack() as stack:
            production, staging = (_output(stack, bucket, key, name) for name in (key.output, key.shadow))
            given = _spooled(stack, bucket, key.name, key.generation.content)
            return with_late_labels(old, Streams(given, production, staging), late)
    except ObjectNotFound:
        raise NotJoined("the file or its outputs were replaced since, by another content or re-scoring") from None


def _output(stack: ExitStack, bucket: Bucket, key: Key, name: str) -> BinaryIO:
    found = bucket.stat(name)
    if found is None or found.metadata.get(SOURCE_GENERATION) != str(key.generation):
        raise ObjectNotFound(name)
    return _spooled(stack, bucket, name, found.generation)


def _spooled(stack: ExitStack, bucket: Bucket, name: str, generation: int) -> BinaryIO:
    spool: Any = tempfile.SpooledTemporaryFile(max_size=MEMORY_OF_SPOOL)  # noqa: SIM115 - `stack` closes it
    stack.enter_context(spool)
    with bucket.read(name, generation) as stream:
        shutil.copyfileobj(stream, spool, 1 << 20)
    spool.seek(0)
    return spool  # type: ignore[no-any-return]


def label_objects(bucket: Bucket) -> list[tuple[str, int]]:
    """Name and generation of each file of labels in the bucket."""
    found = bucket.objects(LABELS, recursive=False)
    return [(info.name, info.generation) for info in found if info.name.lower().endswith((".csv", ".csv.gz"))]


def read_labels(bucket: Bucket, objects: Iterable[tuple[str, int]], column: str | None, into: LateLabels) -> list[str]:
    """Adds the labels of these files; gives what is wrong with those that cannot be used."""
    wrong = []
    for name, generation in objects:
        with ExitStack() as stack:
            try:
                add_labels(_spooled(stack, bucket, name, generation), name, column, into)
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
        table = Table(stream, None, all_columns=True)
        row_id, label = _columns(table.columns, column, name)
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
