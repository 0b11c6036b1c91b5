"""What runs in a scoring process: it takes tasks over a pipe and does them one at a time, with models kept loaded.

Over a second pipe it learns which version comes next, and a thread loads that version beside the tasks.

It knows the bucket and onnxruntime, and nothing of queue, registry or the other processes. It dies with its parent.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from itertools import takewhile
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from threading import Lock, Thread
from types import ModuleType
from typing import Any, Protocol, TypeVar

from edge.log import start_log
from models.registry.client import FetchedVersion
from models.registry.spec import UnfitModel
from models.scoring.scorer import Scorer
from transport.bucket import Bucket
from transport.open import open_bucket

MAX_LOADED = 2  # the version in force and, during a swap, its successor
NICENESS_OF_LOADING = 5  # of two busy threads on one core the other gets three quarters, and a load still ends
FORBIDDEN = ("mlflow", "pandas", "sklearn", "tensorflow", "keras", "cloudpickle", "skops")


Result = TypeVar("Result", covariant=True)


class Task(Protocol[Result]):
    """Work for a scoring process; it is pickled on the way, and so is what `run` returns."""

    def run(self, workshop: Workshop) -> Result: ...


@dataclass
class Workshop:
    """What a task finds in its process: the bucket, and loaded models.

    One thread does tasks; another may `bring` versions meanwhile.
    """

    bucket: Bucket
    _loaded: dict[str, Future[Scorer]] = field(default_factory=dict)  # in the order in which they were asked for
    _changing: Lock = field(default_factory=Lock)

    def scorer(self, version: FetchedVersion) -> Scorer:
        """The model of this version, loaded now if it is not yet; the models asked for before it are dropped.

        Raises UnfitModel where its bytes changed or cannot be run.
        """
        scorer = self._load(version)
        key = _key(version)
        with self._changing:
            for older in list(takewhile(lambda other: other != key, self._loaded)):
                del self._loaded[older]
        return scorer

    def bring(self, version: FetchedVersion, beside: FetchedVersion | None = None) -> tuple[int, ...]:
        """Loads a version, has it score its example, and keeps only `beside` with it; gives the sizes of its blocks.

        Raises UnfitModel.
        """
        wanted = [beside, version] if beside else [version]
        with self._changing:
            for other in self._loaded.keys() - set(map(_key, wanted)):
                del self._loaded[other]
        for one in wanted:
            scorer = self._load(one)
        try:
            return scorer.prepare()
        except UnfitModel:
            with self._changing:
                self._loaded.pop(_key(version), None)
            raise

    def _load(self, version: FetchedVersion) -> Scorer:
        key = _key(version)
        with self._changing:
            found = self._loaded.get(key)
            if found is None:
                while len(self._loaded) >= MAX_LOADED:
                    del self._loaded[next(iter(self._loaded))]
                mine = self._loaded[key] = Future()
        if found is not None:
            return found.result()
        try:
            mine.set_result(load(version))
        except BaseException as error:
            with self._changing:
                if self._loaded.get(key) is mine:
                    del self._loaded[key]
            mine.set_exception(error)
            raise
        return mine.result()


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
class Load:
    """A request to load a version beside one that is served."""

    version: FetchedVersion
    beside: FetchedVersion | None


def serve(tasks: Connection, loads: Connection, bucket_url: str, log_level: str, niceness: int) -> None:
    """Takes tasks until the pipe closes. Answers each with (True, result) or (False, kind and text of its error).

    Meanwhile it takes (number, Load) from `loads` and answers with (number, sizes of its blocks, or as a text why the
    version must not serve).
    """
    for number in (signal.SIGINT, signal.SIGTERM):  # sent to a whole group, they reach us too; the parent decides
        signal.signal(number, signal.SIG_IGN)
    sys.meta_path.insert(0, _Forbidden())
    _die_with_parent()
    _be_nice(niceness)
    start_log("worker", log_level)
    tempfile.gettempdir()  # decided now: with a full TMPDIR it would silently choose another folder later
    workshop = Workshop(open_bucket(bucket_url))
    Thread(target=_bring_versions, args=(workshop, loads), daemon=True, name="load").start()
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


def _bring_versions(workshop: Workshop, loads: Connection) -> None:
    # onnxruntime lets go of the interpreter while it loads (measured: no other thread waited for more than 10 ms), and
    # on Linux niceness is a thread's own: the tasks have the processor first.
    if sys.platform == "linux":
        _be_nice(NICENESS_OF_LOADING)
    while True:
        try:
            number, load = loads.recv()
        except (EOFError, OSError):
            return
        try:
            answer: tuple[int, ...] | str = workshop.bring(load.version, load.beside)
        except UnfitModel as error:
            answer = str(error)
        except Exception as error:  # noqa: BLE001 - after any error the version must not serve
            answer = f"{load.version.spec}: {type(error).__name__}: {str(error)[:1000]}"
        loads.send((number, answer))


def _be_nice(niceness: int) -> None:
    """Makes this process (on Linux this thread) so nice, unless it is already."""
    os.nice(max(0, niceness - os.getpriority(os.PRIO_PROCESS, 0)))


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
