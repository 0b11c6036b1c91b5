"""`make up`, `make down`: publisher, two workers, the watch and the MLflow UI on this machine, staying up."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Mapping

from pydantic import Field

from deploy.processes import ROOT, Program, end_pids, remember, still_running
from deploy.ready import Started, wait
from edge.command import Command, main, variable
from edge.options import BucketOption, ModelOption, QueueOption, RegistryOption

FOLDER = ROOT / ".run" / "up"


DEFAULT_MODEL = ModelOption.model_fields["model"].default
READY = {"publisher": "publisher started", "worker": "worker ready", "watch": "watching"}


class Up(ModelOption, RegistryOption, QueueOption, BucketOption):
    """Starts publisher, workers and the MLflow UI, and waits until each is ready.

    Trains on the synthetic sample first where there is no registry, and no model of one's own is asked for.
    """

    workers: int = Field(2, ge=1, description="how many workers")
    processes: int = Field(1, ge=1, description="scoring processes of each worker")
    ui_port: int = Field(5000, description="port of the MLflow UI on 127.0.0.1")
    page_port: int = Field(5001, description="port of the page on 127.0.0.1 that shows how things stand")

    def run(self) -> int:
        FOLDER.mkdir(parents=True, exist_ok=True)
        if running := still_running(FOLDER):
            print(f"already up: {', '.join(running)}; `make down` ends it")
            return 1
        for option, port in (("--ui-port", self.ui_port), ("--page-port", self.page_port)):
            if taken(port):
                print(f"port {port} of 127.0.0.1 is taken: give another with {option} or {variable(option[2:])}")
                return 1
        environment = {
            "UNDERSTUDY_BUCKET": self.bucket,
            "UNDERSTUDY_QUEUE": self.queue,
            "UNDERSTUDY_MODEL": self.model,
            "MLFLOW_TRACKING_URI": self.mlflow_tracking_uri,
        }
        own = self.model != DEFAULT_MODEL or self.mlflow_tracking_uri != "sqlite:///mlflow.db"
        if not own and not (ROOT / "mlflow.db").exists():
            print("no registry yet: training on the synthetic sample")
            trained = subprocess.run([sys.executable, "-m", "models", "train", "all"], cwd=ROOT, check=False)
            if trained.returncode:
                return trained.returncode
        started = [self._start(program) for program in self._programs(environment)]
        if wrong := wait(started, lambda text: print(text, flush=True)):
            print("\n".join(wrong))
            end_pids({one.name: one.process.pid for one in started})
            print(f"all of them were ended again; their logs are in {FOLDER.relative_to(ROOT)}/")
            return 1
        for one in started:
            if waits := one.waits():
                print(f"{one.name} waits: {waits}")
        print(f"""up: {", ".join(one.name for one in started)}; logs are in {FOLDER.relative_to(ROOT)}/
  drop files     cp flights.csv {self.bucket}/
  predictions    {self.bucket}/output/
  see            http://127.0.0.1:{self.page_port}/ (or make status); python -m models compare
  MLflow UI      http://127.0.0.1:{self.ui_port}/#/models
  end            make down""")
        return 0

    def _programs(self, environment: Mapping[str, str]) -> list[Program]:
        workers = [
            Program(f"worker-{number}", ["worker", "--processes", str(self.processes)], environment)
            for number in range(1, self.workers + 1)
        ]
        # MLflow would start eight more processes for jobs that nobody here gives it.
        ui = {**environment, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        return [
            Program("publisher", ["publisher", "--listen", f"127.0.0.1:{self.page_port}"], environment),
            *workers,
            Program("watch", ["models", "watch"], environment),
            Program("mlflow", self._ui(), ui),
        ]

    def _start(self, program: Program) -> Started:
        log = FOLDER / f"{program.name}.log"
        since = log.stat().st_size if log.exists() else 0
        process = program.start(FOLDER)
        remember(FOLDER, program.name, process.pid)
        event = READY.get(program.name.partition("-")[0])
        return Started(program.name, process, log, since, (event,) if event else (), self.ui_port)

    def _ui(self) -> list[str]:
        address = ["--host", "127.0.0.1", "--port", str(self.ui_port)]
        return ["mlflow", "server", "--backend-store-uri", self.mlflow_tracking_uri, "--workers", "1", *address]


def taken(port: int) -> bool:
    """True where another program listens on this port of 127.0.0.1."""
    with socket.socket() as asked:
        asked.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # what has ended does not count
        try:
            asked.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


class Down(Command):
    """Ends what `make up` started: the workers finish what they have in hand."""

    def run(self) -> int:
        running = still_running(FOLDER) if FOLDER.exists() else {}
        end_pids(running)
        for name in running:
            (FOLDER / f"{name}.pid").unlink(missing_ok=True)
        print(f"ended: {', '.join(running)}" if running else "nothing was up")
        return 0


if __name__ == "__main__":
    sys.exit(main("deploy.up", "Understudy on this machine.", {"up": Up, "down": Down}))
