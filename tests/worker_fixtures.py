"""What tests of the worker share: a small model made by hand, files for it, and a worker's parts wired together."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from deploy.waiting import wait_for
from ledger.names import Key
from ledger.receipt import Outcome
from models.registry.challengers import CHALLENGERS
from models.registry.client import FetchedVersion
from models.registry.spec import Column, Example, ModelSpec
from models.scoring.scorer import Scorer
from models.scoring.table.faults import Fault, RowFault
from transport.bucket import Bucket, get, put
from transport.event import Generation, ObjectEvent
from transport.queue import Queue
from worker.brake import Brake
from worker.handle import FilenamesLog, Handler
from worker.leases import Leases
from worker.loop import Loop
from worker.processes.pool import Pool
from worker.processes.process import TaskFailed
from worker.processes.scoring_process import Workshop
from worker.scoring import write
from worker.scoring.predicted import Predicted
from worker.shadow_line import ShadowLine
from worker.versions.swap import InForce

STEPS_PER_SECOND = 70_000  # of a recurrence with 256 hidden values, on one core of 2025
HEADER = "id,colour,weight,age,label"
SPEC = ModelSpec(
    name="tiny",
    version="1",
    run_id="0123456789abcdef",
    columns=(Column("colour", is_text=True), Column("weight", is_text=False), Column("age", False, is_whole=True)),
    classes=("no", "yes"),
    positive="yes",
    id_column="id",
    label_column="label",
)
THREE = replace(SPEC, classes=("no", 'may"be', "yes, surely"), positive=None)


@cache
def graph(bias: float = 0.0, classes: tuple[str, ...] = SPEC.classes) -> bytes:
    """Class k has the logit k × (weight (0 for a gap) + 2 if red − age / 10 + bias)."""
    from onnx import TensorProto, helper, numpy_helper

    def constant(name: str, value: Any, dtype: Any) -> Any:
        return numpy_helper.from_array(np.array(value, dtype), name)

    nodes = [
        helper.make_node("Equal", ["colour", "red"], ["is_red"]),
        helper.make_node("Cast", ["is_red"], ["red01"], to=TensorProto.DOUBLE),
        helper.make_node("Mul", ["red01", "two"], ["red2"]),
        helper.make_node("IsNaN", ["weight"], ["gap"]),
        helper.make_node("Where", ["gap", "bias", "weight"], ["known"]),
        helper.make_node("Cast", ["age"], ["years"], to=TensorProto.DOUBLE),
        helper.make_node("Mul", ["years", "tenth"], ["old"]),
        helper.make_node("Sum", ["red2", "known", "old", "bias"], ["z"]),
        helper.make_node("Unsqueeze", ["z", "last"], ["column"]),
        helper.make_node("Mul", ["column", "steps"], ["logits"]),
        helper.make_node("Cast", ["logits"], ["logits32"], to=TensorProto.FLOAT),
        helper.make_node("Softmax", ["logits32"], ["probabilities"], axis=1),
        helper.make_node("ArgMax", ["probabilities"], ["index"], axis=1, keepdims=0),
        helper.make_node("Gather", ["classes", "index"], ["label"]),
    ]
    made = helper.make_graph(
        nodes,
        "tiny",
        [
            helper.make_tensor_value_info("colour", TensorProto.STRING, ["N"]),
            helper.make_tensor_value_info("weight", TensorProto.DOUBLE, ["N"]),
            helper.make_tensor_value_info("age", TensorProto.INT64, ["N"]),
        ],
        [
            helper.make_tensor_value_info("label", TensorProto.STRING, ["N"]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", len(classes)]),
        ],
        initializer=[
            constant("red", ["red"], object),
            constant("two", [2.0], np.float64),
            constant("tenth", [-0.1], np.float64),
            constant("bias", [bias], np.float64),
            constant("last", [1], np.int64),
            constant("steps", [list(range(len(classes)))], np.float64),
            constant("classes", list(classes), object),
        ],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    return bytes(model.SerializeToString())


def with_example(spec: ModelSpec, bias: float = 0.0) -> ModelSpec:
    """The same with the input example that every version must score before it serves."""
    inputs: dict[str, tuple[str | float | None, ...]] = {"colour": ("red", ""), "weight": (3.0, None), "age": (30, 5)}
    arrays = {"colour": np.array(["red", ""], object), "weight": np.array([3.0, np.nan]), "age": np.array([30, 5])}
    scores = scorer(spec, bias).score(arrays)
    rows = tuple(tuple(float(p) for p in row) for row in scores.probabilities)
    return replace(spec, example=Example(inputs, tuple(scores.labels), rows))


def scorer(spec: ModelSpec = SPEC, bias: float = 0.0) -> Scorer:
    """The model, loaded in this process."""
    return Scorer(graph(bias, spec.classes), spec)


def output_rows(
    spec: ModelSpec, first_row: int, ids: Any, labels: Any, probabilities: Any, errors: Mapping[int, str]
) -> bytes:
    """What is written of rows with these answers; `errors`: index → why the row has none."""
    faults = {index: Fault(RowFault.CELL, said) for index, said in errors.items()}
    ids = None if ids is None else pa.array(ids, pa.string())
    nothing = np.zeros(0, dtype=np.int64)
    return write.rows(spec, Predicted(first_row, labels, probabilities, faults, ids, None, nothing, {}))


def fetched(folder: Path, version: str = "1", *, bias: float = 0.0, spec: ModelSpec = SPEC) -> FetchedVersion:
    """The model as a version that lies in `folder`."""
    content = graph(bias, spec.classes)
    path = folder / f"model-{version}.onnx"
    path.write_bytes(content)
    return FetchedVersion(replace(spec, version=version), path, hashlib.sha256(content).hexdigest())


def slow_to_load(folder: Path, version: str, *, seconds: float) -> FetchedVersion:
    """A version that keeps a processor busy for about so long before it is loaded, with nothing wrong otherwise."""
    slow = slowed(graph(), seconds)
    path = folder / f"slow-{version}.onnx"
    path.write_bytes(slow)
    return FetchedVersion(replace(with_example(SPEC), version=version), path, hashlib.sha256(slow).hexdigest())


def slowed(graph: bytes, seconds: float) -> bytes:
    """The same graph with a long recurrence of constants beside it: worked out while it is loaded, and for nothing."""
    import onnx
    from onnx import helper, numpy_helper

    model, hidden, steps = onnx.load_from_string(graph), 256, 20_000
    shapes = {"X": [steps, 1, 1], "W": [1, 4 * hidden, 1], "R": [1, 4 * hidden, hidden]}
    model.graph.initializer.append(numpy_helper.from_array(np.array([[[0.0]]], np.float32), "slow_zero"))
    nodes = []
    for name, shape in shapes.items():
        model.graph.initializer.append(numpy_helper.from_array(np.array(shape), f"slow_shape_{name}"))
        nodes.append(helper.make_node("Expand", ["slow_zero", f"slow_shape_{name}"], [f"slow_{name}"]))
    last = ""
    for link in range(max(1, round(seconds * STEPS_PER_SECOND / steps))):
        inputs = ["slow_X", "slow_W", "slow_R", "", "", last]
        last = f"slow_{link}"
        nodes.append(helper.make_node("LSTM", inputs, ["", last], hidden_size=hidden))
    nodes.append(helper.make_node("ReduceMax", [last], ["slow_nothing"], keepdims=0))
    nodes.append(helper.make_node("Add", ["fast_probabilities", "slow_nothing"], ["probabilities"]))
    for node in model.graph.node:
        for names in (node.input, node.output):
            for position, name in enumerate(names):
                if name == "probabilities":
                    names[position] = "fast_probabilities"
    model.graph.node.extend(nodes)
    return bytes(model.SerializeToString())


def survey(rows: int, *, first: int = 0) -> bytes:
    """A clean file: `rows` rows, all different, numbered from `first`."""
    lines = [HEADER]
    for n in range(first, first + rows):
        colour = ("red", "green", "ré,d")[n % 3]
        cell = f'"{colour}"' if "," in colour else colour
        lines.append(f"{n},{cell},{'' if n % 7 == 3 else n * 0.37 - 5},{n % 90},{'yes' if n % 2 else 'no'}")
    return ("\n".join(lines) + "\n").encode()


def dropped(bucket: Bucket, name: str, data: bytes) -> ObjectEvent:
    """Puts a file into the bucket; gives the event that tells of it."""
    info = put(bucket, name, data)
    return ObjectEvent(bucket.name, name, Generation(info.generation), "2026-01-02T03:04:05Z", size=info.size)


def receipt_of(bucket: Bucket, key: Key) -> Outcome:
    """The receipt, which must be there."""
    return Outcome.from_json(get(bucket, key.receipt))


def without_times(receipt: bytes) -> dict[str, Any]:
    """A receipt's fields apart from those that differ between two scorings of the same."""
    fields: dict[str, Any] = json.loads(receipt)
    assert fields.pop("finished")
    assert fields.pop("timings") is not None
    assert fields.pop("worker")
    return fields


def contents(bucket: Bucket, prefix: str) -> dict[str, bytes]:
    """Every object below `prefix`."""
    return {info.name: get(bucket, info.name) for info in bucket.objects(prefix)}


def alive(pid: int) -> bool:
    """True for a process that runs; one that has ended and awaits its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # gone before it was opened, or before it was read
        return False


@dataclass
class Fixed:
    """A follower that does not follow: the versions in force are those it is given."""

    in_force: InForce
    repaired: list[FetchedVersion] = field(default_factory=list)

    def repair(self, version: FetchedVersion) -> None:
        self.repaired.append(version)


class Here:
    """A pool without processes: tasks are run in the thread that asks, on any bucket."""

    def __init__(self, bucket: Bucket) -> None:
        self.workshop = Workshop(bucket)
        self.tasks: list[Any] = []

    def run(self, task: Any, timeout: float) -> Any:
        self.tasks.append(task)
        try:
            return task.run(self.workshop)
        except Exception as error:
            raise TaskFailed(type(error).__name__, str(error)) from error

    def run_next(self, make: Callable[[], Any], timeout: float) -> Any:
        return self.run(make(), timeout)

    def kill(self) -> None:
        return


@dataclass
class Lent:
    """A pool that outlives the worker; with a `deed` its processes do that in place of every task."""

    pool: Pool
    deed: str = ""

    def run(self, task: Any, timeout: float) -> Any:
        return self.pool.run(Hostile(self.deed) if self.deed else task, timeout)

    def run_next(self, make: Callable[[], Any], timeout: float) -> Any:
        return self.pool.run_next(lambda: Hostile(self.deed) if self.deed else make(), timeout)

    def kill(self) -> None:
        return


@dataclass
class Worker:
    """A worker's parts, wired together as its program does, in this process."""

    bucket: Bucket
    queue: Queue
    scorers: Any
    shadows: Any
    in_force: InForce
    options: dict[str, Any] = field(default_factory=dict)  # of the handler
    shadow_seconds: float = 30.0
    shadow_backlog: int = 1000
    drain_seconds: float = 20.0
    room: int = 2
    more_shadows: dict[str, Any] = field(default_factory=dict)  # alias of a challenger → a pool of its own

    def __post_init__(self) -> None:
        self.stopping = threading.Event()
        self.follower = Fixed(self.in_force)
        self.leases = Leases(self.queue)
        self.line = ShadowLine(
            self.bucket,
            self.leases,
            dict.fromkeys(CHALLENGERS, self.shadows) | self.more_shadows,
            1,
            limit=self.shadow_seconds,
            longest=self.shadow_backlog,
        )
        given: dict[str, Any] = {
            "name": "host-17",
            "bucket": self.bucket,
            "leases": self.leases,
            "follower": self.follower,
            "pool": self.scorers,
            "shadow_line": self.line,
            "filenames": FilenamesLog(""),
            "ending": threading.Event(),
            "brake": Brake(self.bucket.verify),
        }
        self.handler = Handler(**{**given, **self.options})
        self.loop = Loop(
            self.queue,
            self.leases,
            self.handler,
            self.line,
            (self.scorers, self.shadows),
            self.room,
            self.drain_seconds,
            self.stopping,
        )

    def take(self) -> Any:
        """The next delivery, in hand."""
        [delivery] = wait_for(lambda: self.queue.pull(1, 10.0))
        self.leases.take(delivery)
        return delivery

    def handle(self) -> None:
        """Does what the next message asks for, its shadow included."""
        self.handler.handle(self.take())
        wait_for(lambda: len(self.line) == 0)


# Tasks for scoring processes, which import this module to unpickle them.


@dataclass(frozen=True)
class Call:
    """Calls a function of a module, and gives what it returns."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()

    def run(self, _workshop: Workshop) -> Any:
        return self.function(*self.arguments)


@dataclass(frozen=True)
class Hostile:
    """What a task may do to its process: one of DEEDS."""

    deed: str

    def run(self, _workshop: Workshop) -> None:
        DEEDS[self.deed]()


@dataclass(frozen=True)
class HostileOnArrival:
    """The same deed as soon as the task is unpickled, before anybody could run it."""

    deed: str

    def run(self, _workshop: Workshop) -> None:
        raise AssertionError("it was done on arrival")

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return DEEDS[self.deed], ()


@dataclass(frozen=True)
class Loaded:
    """Tells which versions its process has loaded, in the order in which they were asked for."""

    def run(self, workshop: Workshop) -> list[str]:
        return [key.partition(":")[0] for key in workshop._loaded]


@dataclass(frozen=True)
class Touch:
    """Asks for a version, as the scoring of a file does."""

    version: FetchedVersion

    def run(self, workshop: Workshop) -> None:
        workshop.scorer(self.version)


@dataclass(frozen=True)
class Until:
    """Keeps its process busy until a file exists."""

    file: Path

    def run(self, _workshop: Workshop) -> None:
        wait_for(self.file.exists)


def _raise() -> None:
    raise ValueError("it was not meant to be")


def _sleep_for_ever() -> None:
    threading.Event().wait()


def _kill_itself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _exit() -> None:
    os._exit(3)


def _leave() -> None:
    raise SystemExit("good bye")


def _eat_memory() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (3 << 30, resource.getrlimit(resource.RLIMIT_AS)[1]))
    eaten = []
    while True:
        eaten.append(bytes(64 << 20))


DEEDS: dict[str, Callable[[], None]] = {
    "raises": _raise,
    "sleeps for ever": _sleep_for_ever,
    "kills its process": _kill_itself,
    "ends its process": _exit,
    "leaves": _leave,
    "eats memory": _eat_memory,
}


def imported() -> list[str]:
    """The modules that this process has imported."""
    import sys

    return sorted(sys.modules)


def import_error(name: str) -> str:
    """What importing a module comes to: the error's text, or nothing."""
    import importlib

    try:
        importlib.import_module(name)
    except ImportError as error:
        return str(error)
    return ""


def table(lines: Iterable[str], header: str = HEADER) -> bytes:
    """A file of these lines."""
    return "\n".join([header, *lines, ""]).encode()
