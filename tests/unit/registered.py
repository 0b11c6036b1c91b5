"""Registered versions made by hand: a tiny ONNX graph, its MLmodel file, and the tags that pin both; no training."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from models.registry.client import Registry
from models.registry.spec import GRAPH_FILE, METADATA_KEY, SHA256_TAG, SPEC_FILE

MODEL = "airline-satisfaction"


@cache
def _empty_registry() -> Path:
    """A fresh MLflow database, made once per session because its hundred migrations take seconds."""
    import mlflow

    path = Path(tempfile.mkdtemp(prefix="empty-registry-")) / "mlflow.db"
    mlflow.MlflowClient(f"sqlite:///{path}", f"sqlite:///{path}").search_registered_models()
    return path


def new_registry(folder: Path) -> str:
    """The address of an empty registry in `folder`."""
    shutil.copyfile(_empty_registry(), folder / "mlflow.db")
    return f"sqlite:///{folder / 'mlflow.db'}"


def graph(weight: float = 1.0, *, external: str | None = None) -> bytes:
    """A classifier: satisfied where weight × distance is positive. `external`: the path of a file for its weight."""
    initial = numpy_helper.from_array(np.array([weight]), "weight")
    if external is not None:
        initial.ClearField("raw_data")
        initial.data_location = TensorProto.EXTERNAL
        for key, value in (("location", external), ("offset", "0"), ("length", "8")):
            entry = initial.external_data.add()
            entry.key, entry.value = key, value
    last = numpy_helper.from_array(np.array([1], np.int64), "last")
    classes = numpy_helper.from_array(np.array(["neutral", "satisfied"], dtype=object), "classes")
    one = numpy_helper.from_array(np.array([1.0], np.float32), "one")
    nodes = [
        helper.make_node("Mul", ["distance", "weight"], ["z"]),
        helper.make_node("Cast", ["z"], ["z32"], to=TensorProto.FLOAT),
        helper.make_node("Sigmoid", ["z32"], ["p"]),
        helper.make_node("Sub", ["one", "p"], ["q"]),
        helper.make_node("Unsqueeze", ["p", "last"], ["p2"]),
        helper.make_node("Unsqueeze", ["q", "last"], ["q2"]),
        helper.make_node("Concat", ["q2", "p2"], ["probabilities"], axis=1),
        helper.make_node("ArgMax", ["probabilities"], ["index"], axis=1, keepdims=0),
        helper.make_node("Gather", ["classes", "index"], ["label"]),
    ]
    made = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("distance", TensorProto.DOUBLE, ["N"])],
        [
            helper.make_tensor_value_info("label", TensorProto.STRING, ["N"]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 2]),
        ],
        initializer=[initial, last, classes, one],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    return bytes(model.SerializeToString())


def mlmodel(**changes: Any) -> bytes:
    """An MLmodel file (JSON is YAML) of `graph` (of any positive weight); `changes` replace its entries."""
    document = {
        "flavors": {"onnx": {"data": GRAPH_FILE}},
        "run_id": "0123456789abcdef",
        "utc_time_created": "2026-03-31 12:00:00.250000",
        "signature": {"inputs": json.dumps([{"name": "distance", "type": "double"}])},
        "metadata": {
            METADATA_KEY: {
                "classes": ["neutral", "satisfied"],
                "positive_class": "satisfied",
                "example": {
                    "inputs": {"distance": [1000.0, -1000.0]},
                    "labels": ["satisfied", "neutral"],
                    "probabilities": [[0.0, 1.0], [1.0, 0.0]],
                },
            }
        },
    }
    return json.dumps(document | changes).encode()


def laughs(levels: int = 10) -> bytes:
    """An MLmodel file of a kilobyte whose classes are 10^`levels` texts, if its aliases are followed."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels)]
    lines += [
        "flavors: {onnx: {data: model.onnx}}",
        """signature: {inputs: '[{"name": "distance", "type": "double"}]'}""",
    ]
    lines += [f"metadata: {{{METADATA_KEY}: {{classes: [*a{levels - 1}, 'no']}}}}"]
    return "\n".join(lines).encode()


def register(uri: str, folder: Path, files: Mapping[str, bytes], *, tags: Mapping[str, str] | None = None) -> str:
    """Registers `files` (path in the artefact → content), with the tags that pin them unless `tags` are given."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return register_folder(uri, str(folder), pins(files) if tags is None else tags)


def register_folder(uri: str, source: str, tags: Mapping[str, str]) -> str:
    """Registers whatever lies at `source` as the next version."""
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    client = MlflowClient(uri, uri)  # both: a training in this process has told MLflow of another registry
    try:
        client.get_registered_model(MODEL)
    except MlflowException:
        client.create_registered_model(MODEL)
    return str(client.create_model_version(MODEL, source, tags=dict(tags)).version)


def pins(files: Mapping[str, bytes]) -> dict[str, str]:
    """The tags that pin the two files of a version."""
    return {SHA256_TAG + n: hashlib.sha256(files[n]).hexdigest() for n in (SPEC_FILE, GRAPH_FILE) if n in files}


def good_files(weight: float = 1.0) -> dict[str, bytes]:
    """The two files of a version that can serve."""
    return {SPEC_FILE: mlmodel(), GRAPH_FILE: graph(weight)}


def registered(folder: Path, aliases: Mapping[str, str], versions: int = 3) -> Registry:
    """A new registry with good versions 1, 2, …, and these aliases."""
    found = Registry(new_registry(folder), MODEL)
    for number in range(1, versions + 1):
        register(found.tracking_uri, folder / str(number), good_files(float(number)))
    for alias, version in aliases.items():
        found.client.set_registered_model_alias(MODEL, alias, version)
    return found
