"""What runs in a scoring process: it takes tasks over a pipe and does them one at a time, with models kept loaded.

It knows the bucket and onnxruntime, and nothing of queue, registry or the other processes. It dies with its parent.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from threading import Thread
from types import ModuleType
from typing import Any, Protocol, TypeVar

from edge.log import start_log
from models.registry.client import FetchedVersion
from models.registry.spec import UnfitModel
from models.scoring.scorer import Scorer
from transport.bucket import Bucket
from transport.open import open_bucket

NICENESS_OF_LOADING = 5  # of two busy threads on one core the other gets three quarters, and a load still ends
FORBIDDEN = ("mlflow", "pandas", "sklearn", "tensorflow", "keras", "cloudpickle", "skops")


Result = TypeVar("Result", covariant=True)


class Task(Protocol[Result]):
    """Work for a scoring process; it is pickled on the way, and so is what `run` returns."""

    def run(self, workshop: Workshop) -> Result: ...


@dataclass
class Workshop:
    """What a task finds in its process: the bucket, and the model of the version that the process is for."""

    bucket: Bucket
    _loaded: dict[str, Scorer] = field(default_factory=dict)
    _own: str = ""

    def bring(self, version: FetchedVersion) -> tuple[int, ...]:
        """Loads the version that the process is for and scores its example; gives its blocks. Raises UnfitModel."""
        self._own = _key(version)
        return self.scorer(version).prepare()

    def scorer(self, version: FetchedVersion) -> Scorer:
        """The model of this version. A version that the process is not for is loaded now, and dropped after its tasks.

        A shadow that has waited in line needs such a version, and so does a task that was made just before a swap.
        Raises UnfitModel where the version's bytes changed or cannot be run.
        """
        key = _key(version)
        self._loaded = {other: scorer for other, scorer in self._loaded.items() if other in (key, self._own)}
        if key not in self._loaded:
            self._loaded[key] = load(version)
        return self._loaded[key]


def _key(version: FetchedVersion) -> str:
    return f"{version.spec.version}:{version.sha256}"


def load(version: FetchedVersion) -> Scorer:
    """Loads a fetched version from the very bytes whose digest was checked. Raises UnfitModel."""
    try:
        graph = version.graph.read_bytes()
    except OSError as error:
        raise UnfitModel(f"{version.spec}: its cached graph cannot be read: {error}") from None
    if hashlib.sha256(graph).hexdigest() != version.sha256:
        raise UnfitModel(f"{version.spec}: the bytes of its cached graph {version.graph} have changed")
    return Scorer(graph, version.spec, version.blocks)


@dataclass(frozen=True)
class Bring:
    """The task of loading a version that scores its example; gives the sizes of its blocks. Raises UnfitModel."""

    version: FetchedVersion

    def run(self, workshop: Workshop) -> tuple[int, ...]:
        # In a thread of its own: its niceness cannot be taken back, and the tasks that follow need none.
        with ThreadPoolExecutor(1, initializer=_step_back) as thread:
            return thread.submit(workshop.bring, self.version).result()


def serve(tasks: Connection, bucket_url: str, log_level: str) -> None:
    """Takes tasks until the pipe closes. Answers each with (True, result) or (False, kind and text of its error)."""
    for number in (signal.SIGINT, signal.SIGTERM):  # sent to a whole group, they reach us too; the parent decides
        signal.signal(number, signal.SIG_IGN)
    sys.meta_path.insert(0, _Forbidden())
    _die_with_parent()
    start_log("worker", log_level)
    tempfile.gettempdir()  # decided now: with a full TMPDIR it would silently choose another folder later
    workshop = Workshop(open_bucket(bucket_url))
    while True:
        try:
            task: Task[Any] = tasks.recv()
        except (EOFError, OSError):
            return
        try:
            answer: tuple[bool, object] = True, task.run(workshop)
        except Exception as error:  # noqa: BLE001 - the parent decides what becomes of the file
            answer = False, (type(error).__name__, str(error)[:1000])
        tasks.send(answer)


def _step_back() -> None:
    if sys.platform == "linux":  # where niceness is a thread's own
        os.nice(max(0, NICENESS_OF_LOADING - os.getpriority(os.PRIO_PROCESS, 0)))


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
