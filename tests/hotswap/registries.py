"""Real registries to follow: a database, and an MLflow server that can be killed and started again."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

from deploy.emulators import free_port
from deploy.waiting import wait_for
from models.registry.client import Registry
from models.registry.spec import GRAPH_FILE, SPEC_FILE
from tests.unit.registered import MODEL, graph, mlmodel, new_registry, pins, register


def example_of(weight: float) -> dict[str, Any]:
    """The entry `metadata` of an MLmodel whose example tells graphs of different weights apart."""
    from models.registry.description.read import read_spec
    from models.scoring.scorer import Scorer, example_columns

    spec = read_spec(mlmodel(), MODEL, "0")
    assert spec.example is not None
    inputs = {"distance": (1.0, -0.5)}
    example = type(spec.example)(inputs, (), ())
    scores = Scorer(graph(weight), spec).score(example_columns(example, spec.columns))
    recorded = {
        "inputs": {"distance": list(inputs["distance"])},
        "labels": list(scores.labels),
        "probabilities": scores.probabilities.tolist(),
    }
    return {"understudy": {"classes": ["neutral", "satisfied"], "positive_class": "satisfied", "example": recorded}}


def version_files(weight: float) -> dict[str, bytes]:
    """The two files of a good version that answers otherwise than one of another weight."""
    return {SPEC_FILE: mlmodel(metadata=example_of(weight)), GRAPH_FILE: graph(weight)}


class DatabaseRegistry:
    """A registry at a `sqlite:///` address, its artefacts in folders beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.uri = new_registry(folder)
        self.client = Registry(self.uri, MODEL).client

    def register(self, files: Mapping[str, bytes], tags: Mapping[str, str] | None = None) -> str:
        number = len(list(self.folder.glob("artefact-*")))
        return register(self.uri, self.folder / f"artefact-{number}", files, tags=tags)

    def move(self, alias: str, version: str) -> None:
        self.client.set_registered_model_alias(MODEL, alias, version)

    def go_away(self) -> None:
        """It answers nobody: another program holds its lock, and every question waits for that and fails."""
        self._lock = sqlite3.connect(self._database, isolation_level=None)
        self._lock.execute("BEGIN EXCLUSIVE")

    def come_back(self) -> None:
        self._lock.close()

    def set_aside(self) -> None:
        """It is not there; for a program that has not opened it yet."""
        self._database.rename(self._database.with_suffix(".away"))

    def bring_back(self) -> None:
        self._database.with_suffix(".away").rename(self._database)

    @property
    def _database(self) -> Path:
        return Path(self.uri.removeprefix("sqlite:///"))


class ServedRegistry:
    """An `mlflow server` that hands out the artefacts too. For use in a `with` block."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._database = new_registry(folder)
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> ServedRegistry:
        self.come_back()
        return self

    def __exit__(self, *_: object) -> None:
        self.go_away()

    def come_back(self) -> None:
        """Starts it and waits until it answers."""
        options = {
            "--host": "127.0.0.1",
            "--port": str(self.port),
            "--workers": "1",
            "--backend-store-uri": self._database,
            "--artifacts-destination": str(self.folder / "artefacts"),
        }
        with (self.folder / "mlflow-server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "mlflow", "server", *chain.from_iterable(options.items())],
                cwd=self.folder,
                env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

        def answers() -> bool:
            with suppress(OSError), urllib.request.urlopen(f"{self.uri}/health", timeout=2) as answer:
                return bool(answer.status == 200)
            return False

        wait_for(answers, f"an answer of the MLflow server, see {self.folder}/mlflow-server.log", 110.0, every=0.1)

    def go_away(self) -> None:
        """SIGKILL to all its processes."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(20)
            self._process = None

    @property
    def client(self) -> Any:
        return Registry(self.uri, MODEL).client

    def register(self, files: Mapping[str, bytes]) -> str:
        """As a training elsewhere does: everything goes through the server, the files too."""
        from mlflow.exceptions import MlflowException

        client = self.client
        with suppress(MlflowException):
            client.create_registered_model(MODEL)
            client.create_experiment("by hand")
        run = client.create_run(client.get_experiment_by_name("by hand").experiment_id)
        folder = self.folder / run.info.run_id
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_bytes(content)
        client.log_artifacts(run.info.run_id, str(folder))
        source = run.info.artifact_uri
        return str(client.create_model_version(MODEL, source, run.info.run_id, tags=pins(files)).version)

    def move(self, alias: str, version: str) -> None:
        self.client.set_registered_model_alias(MODEL, alias, version)

    def aliases(self) -> Mapping[str, str]:
        return Registry(self.uri, MODEL).aliases()
