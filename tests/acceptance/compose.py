"""compose.yaml brought up with Debian's docker-compose or Compose v2, as a project of its own on free ports."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from deploy.emulators import free_port
from deploy.processes import ROOT
from tests.acceptance.debian import COMPOSE, need
from tests.acceptance.engine import Engine, EngineFailed

FILE = ROOT / "compose.yaml"
PORTS = ("PUBSUB_PORT", "STORAGE_PORT", "MLFLOW_PORT", "PAGE_PORT", "PROMETHEUS_PORT", "GRAFANA_PORT")
CALL_SECONDS = 600.0


class Compose:
    """The project: its services are those of compose.yaml with other images. `down` it in the end."""

    def __init__(self, engine: Engine, folder: Path, images: Mapping[str, str]) -> None:
        """`images`: service → image. Raises CannotRunHere where there is no docker-compose."""
        self._engine = engine
        self.ports = {name: free_port() for name in PORTS}
        self._project = f"understudy-check-{os.getpid()}"
        self._override = folder / "compose.override.yaml"
        self._override.write_text(yaml.safe_dump(override(images)), encoding="utf-8")
        self._command = ["docker-compose"]
        if engine.attempt("compose", "version").returncode == 0:
            self._command = [engine.client, "compose"]
        else:
            need(COMPOSE)

    def up(self, services: Sequence[str], workers: int, seconds: float) -> None:
        """Starts these services and whatever they wait for, and returns once all are started. Raises EngineFailed."""
        self._run("up", "--detach", "--no-build", "--scale", f"worker={workers}", *services, seconds=seconds)

    def run_once(self, service: str, seconds: float) -> None:
        """Runs a service that ends by itself, once more. Raises EngineFailed where it fails."""
        self._run("run", "--rm", "-T", service, seconds=seconds)

    def containers(self, service: str) -> list[str]:
        """The ids of a service's containers."""
        return self._run("ps", "--quiet", service, seconds=CALL_SECONDS).split()

    def logs(self) -> str:
        """The end of what all said."""
        return self._run("logs", "--no-color", "--tail", "15", seconds=CALL_SECONDS)

    def down(self) -> None:
        """Ends and removes all of it, volumes too."""
        self._run("down", "--volumes", "--remove-orphans", "--timeout", "30", seconds=CALL_SECONDS)

    def _run(self, *arguments: str, seconds: float) -> str:
        files = ["--file", str(FILE), "--file", str(self._override)]
        project = ["--project-name", self._project, "--project-directory", str(ROOT)]
        command = [*self._command, *project, *files, *arguments]
        ports = {name: str(port) for name, port in self.ports.items()}
        environment = {**os.environ, **self._engine.environment, **ports}
        try:
            done = subprocess.run(
                command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=seconds, check=False
            )
        except subprocess.TimeoutExpired:
            raise EngineFailed(f"docker-compose {arguments[0]}: not done after {seconds:.0f} s") from None
        if done.returncode:
            last = "\n".join((done.stdout + done.stderr).splitlines()[-30:])
            raise EngineFailed(f"docker-compose {' '.join(arguments)}: exit {done.returncode}\n{last}")
        return done.stdout


def services() -> Mapping[str, str | None]:
    """Service → the target of our Dockerfile that it runs; None where its image is somebody else's."""
    found = yaml.safe_load(FILE.read_text(encoding="utf-8"))["services"]
    return {name: service["build"]["target"] if "build" in service else None for name, service in found.items()}


def override(images: Mapping[str, str]) -> Mapping[str, object]:
    """An override file that changes nothing but the images."""
    return {"services": {service: {"image": image} for service, image in images.items()}}
