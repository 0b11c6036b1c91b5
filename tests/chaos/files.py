"""Files for the programs to score, and what a scoring of them gives when nothing happens to anybody."""

from __future__ import annotations

import hashlib
import io
from functools import cache
from pathlib import Path
from typing import Any

from models.registry.client import FetchedVersion, Registry
from tests.memory import MemoryBucket
from transport.bucket import get, put
from transport.event import Generation, ObjectEvent
from worker.processes.scoring_process import load
from worker.scoring.score import Attempt, score_file

MODEL = "airline-satisfaction"
DIFFERENT = 2000  # rows of a big file that differ in more than their ids

_outputs: dict[tuple[str, bytes], bytes] = {}


@cache
def surveys(files: int, rows: int, seed: int = 7) -> dict[str, bytes]:
    """`files` surveys of `rows` rows each, by name; the same for the same numbers."""
    from models.training.airline.sample import survey

    table = survey(files * rows, seed)
    return {f"part {i:03}.csv": csv_of(table[i * rows : (i + 1) * rows]) for i in range(files)}


@cache
def big(rows: int = 100_000, seed: int = 7) -> bytes:
    """One survey that takes a while to score, and none to make: the same answers again and again, ids of their own."""
    [content] = surveys(1, DIFFERENT, seed).values()
    header, *lines = content.splitlines(keepends=True)
    answers = [line.partition(b",")[2] for line in lines]
    return header + b"".join(b"%d,%s" % (number, answers[number % DIFFERENT]) for number in range(rows))


def csv_of(table: Any) -> bytes:
    text = io.StringIO()
    table.to_csv(text, index=False, lineterminator="\n")
    return text.getvalue().encode()


def undisturbed(registry: str, cache_folder: Path, version: str, files: dict[str, bytes]) -> dict[str, bytes]:
    """What one version writes for each file when nothing happens to anybody: the worker's own code, in this process."""
    fetched = Registry(registry, MODEL).fetch(version, cache_folder)
    return {name: _output(fetched, content) for name, content in files.items()}


def _output(version: FetchedVersion, content: bytes) -> bytes:
    """Scored once for all tests: the same graph and bytes give the same output."""
    key = version.sha256, hashlib.sha256(content).digest()
    if key not in _outputs:
        bucket, name = MemoryBucket(), "undisturbed.csv"
        event = ObjectEvent(bucket.name, name, Generation(put(bucket, name, content).generation))
        claim = score_file(bucket, Attempt(event, 1, "undisturbed"), load(version))
        assert claim is not None
        _outputs[key] = get(bucket, claim.name)
    return _outputs[key]
