"""What runs in a scoring process: it takes tasks over a pipe and does them one at a time, with models kept loaded.

It knows the bucket and onnxruntime, and nothing of queue, registry or the other processes. It dies with its parent.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from threading import Thread
from types import ModuleType
from typing import Any, Protocol, TypeVar

from edge.log import start_log
from models.registry import FetchedVersion
from models.scoring import Scorer
from models.spec import UnfitModel
from transport.bucket import Bucket
from transport.open import open_bucket

MAX_LOADED = 2  # the version in force and, during a swap, its successor
FORBIDDEN = ("mlflow", "pandas", "sklearn", "tensorflow", "keras", "cloudpickle", "skops")


Result = TypeVar("Result", covariant=True)


class Task(Protocol[Result]):
    """Work for a scoring process; it is pickled on the way, and so is what `run` returns."""

    def run(self, workshop: Workshop) -> Result: ...


@dataclass
class Workshop:
    """What a task finds in its process: the bucket, and loaded models."""

    bucket: Bucket
    _loaded: dict[str, Scorer] = field(default_factory=dict)

    def scorer(self, version: FetchedVersion) -> Scorer:
        """The loaded model of this version; raises UnfitModel where its bytes changed or cannot be run."""
        key = f"{version.spec.version}:{version.sha256}"
        scorer = self._loaded.pop(key, None)
        if scorer is None:
            scorer = load(version)
            while len(self._loaded) >= MAX_LOADED:
                del self._loaded[next(iter(self._loaded))]
        self._loaded[key] = scorer
        return scorer


def load(version: FetchedVersion) -> Scorer:
    """Loads a fetched version from the very bytes whose digest was checked. Raises UnfitModel."""
    try:
        graph = version.graph.read_bytes()
    except OSError as error:
        raise UnfitModel(f"{version.spec}: its cached graph cannot be read: {error}") from None
    if hashlib.sha256(graph).hexdigest() != version.sha256:
        raise UnfitModel(f"{version.spec}: the bytes of its cached graph {version.graph} have changed")
    return Scorer(graph, version.spec)


@dataclass(frozen=True)
class Prepare:
    """Loads a version and has it score its own example; raises UnfitModel where it must not serve."""

    version: FetchedVersion

    def run(self, workshop: Workshop) -> None:
        workshop.scorer(self.version).check_example()


def serve(connection: Connection, bucket_url: str, log_level: str, niceness: int) -> None:
    """Takes tasks until the pipe closes. Answers each with (True, result) or (False, kind and text of its error)."""
    for number in (signal.SIGINT, signal.SIGTERM):  # sent to a whole group, they reach us too; the parent decides
        signal.signal(number, signal.SIG_IGN)
    sys.meta_path.insert(0, _Forbidden())
    _die_with_parent()
    os.nice(niceness)
    start_log("worker", log_level)
    workshop = Workshop(open_bucket(bucket_url))
    while True:
        try:
            task: Task[Any] = connection.recv()
        except (EOFError, OSError):
            return
        try:
            answer: tuple[bool, object] = True, task.run(workshop)
        except Exception as error:  # noqa: BLE001 - the parent decides what becomes of the file
            answer = False, (type(error).__name__, str(error)[:1000])
        connection.send(answer)


class _Forbidden(MetaPathFinder):
    """Libraries that would run code out of a model, or that a scorer has no use for, cannot be imported here."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] in FORBIDDEN:
            raise ModuleNotFoundError(f"{fullname} may not be imported in a scoring process", name=fullname)
        return None


def _die_with_parent() -> None:
    parent = parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    Thread(target=watch, daemon=True, name="parent-watch").start()
