"""What a virtual machine and this one share during the check: Pub/Sub, Cloud Storage, an MLflow server, the files."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.emulators import Notifications, PubSubEmulator, StorageEmulator, free_port
from deploy.processes import ROOT, Program, end
from tests.acceptance.checked import expect, until
from tests.acceptance.dropped import DroppedFiles
from tests.acceptance.stand_ins import need_emulators
from transport.open import open_bucket

PROJECT, TOPIC, BUCKET = "check", "flights", "understudy-check"
MLFLOW_SECONDS = 600.0


@dataclass(frozen=True)
class Services:
    """Addresses on this machine, as its own programs are told them. `dropped_files`: every file of the check."""

    pubsub: str
    storage: str
    mlflow: str
    folder: Path
    dropped_files: DroppedFiles

    def environment(self, host: str = "127.0.0.1") -> dict[str, str]:
        """What a program finds in its environment that reaches this machine under the name `host`."""
        here = {
            "UNDERSTUDY_BUCKET": f"gs://{BUCKET}",
            "UNDERSTUDY_QUEUE": f"pubsub://{PROJECT}/{TOPIC}",
            "PUBSUB_EMULATOR_HOST": self.pubsub,
            "STORAGE_EMULATOR_HOST": self.storage,
            "MLFLOW_TRACKING_URI": self.mlflow,
            "UNDERSTUDY_PROCESSES": "1",
        }
        return {name: value.replace("127.0.0.1", host) for name, value in here.items()}

    def upload(self, name: str, contents: list[bytes]) -> None:
        """As anybody would: the bucket itself tells the workers."""
        from google.cloud.storage import Client

        bucket = Client(project=PROJECT).bucket(BUCKET)
        named = {f"{name}-{number:02}.csv": content for number, content in enumerate(contents)}
        for each, content in named.items():
            bucket.blob(each).upload_from_string(content, content_type="text/csv")
        self.dropped_files.dropped(named)

    @contextmanager
    def worker_here(self) -> Iterator[None]:
        """A worker on this machine, ended as it should be: with status 0. Raises CheckFailed."""
        own = {"UNDERSTUDY_MODEL_CACHE": str(self.folder / "models"), "UNDERSTUDY_FILENAMES_LOG": ""}
        process = Program("worker-here", ["worker"], self.environment() | own).start(self.folder)
        try:
            yield
        finally:
            status = end({"worker": process})["worker"]
        expect(status == 0, f"the worker on this machine ended with {status}")


@contextmanager
def services(folder: Path) -> Iterator[Services]:
    """All of it, with a forest in production and a network in its shadow. Raises CannotRunHere and CheckFailed."""
    need_emulators()
    pubsub = PubSubEmulator.installed(log=folder / "pubsub.log")
    storage = StorageEmulator.installed(Notifications(pubsub.host, PROJECT, TOPIC), log=folder / "storage.log")
    with ExitStack() as stack:
        for emulator in (pubsub, storage):
            stack.callback(emulator.kill)
            emulator.start()
        mlflow = stack.enter_context(_mlflow(folder))
        os.environ["STORAGE_EMULATOR_HOST"] = storage.url  # for our own uploads and looks
        from google.cloud.storage import Client

        Client(project=PROJECT).create_bucket(BUCKET)
        dropped_files = DroppedFiles(stack.enter_context(closing(open_bucket(f"gs://{BUCKET}"))))
        ours = Services(pubsub.host, storage.url, mlflow, folder, dropped_files)
        _run(ours.environment(), "publisher", "provision")
        _run(ours.environment(), "models", "train", "forest", "network")
        yield ours


@contextmanager
def _mlflow(folder: Path) -> Iterator[str]:
    """An MLflow server that the virtual machine may ask too; its address."""
    port = free_port()
    options = [f"--backend-store-uri=sqlite:///{folder}/mlflow.db", f"--artifacts-destination={folder}/mlartifacts"]
    options += [
        "--host=127.0.0.1",
        f"--port={port}",
        "--workers=1",
        f"--allowed-hosts=10.0.2.2:{port},127.0.0.1:{port}",
    ]
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    process = Program("mlflow", ["mlflow", "server", *options], quiet).start(folder)
    try:
        url = f"http://127.0.0.1:{port}"
        until(lambda: _answers(f"{url}/health"), MLFLOW_SECONDS, lambda: f"MLflow answers; see {folder}/mlflow.log")
        yield url
    finally:
        end({"mlflow": process})


def _answers(url: str) -> bool:
    probe = [sys.executable, "-m", "edge.probe", "--url", url]
    return subprocess.run(probe, cwd=ROOT, capture_output=True, check=False).returncode == 0


def _run(environment: Mapping[str, str], *command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    expect(done.returncode == 0, f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
