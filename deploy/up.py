"""`make up`, `make down`: publisher, two workers, the watch and the MLflow UI on this machine, staying up."""

from __future__ import annotations

import socket
import subprocess
import sys

from pydantic import Field

from deploy.processes import ROOT, Program, end_pids, remember, still_running
from edge.command import Command, main, variable
from edge.options import BucketOption, QueueOption, RegistryOption

FOLDER = ROOT / ".run" / "up"


class Up(RegistryOption, QueueOption, BucketOption):
    """Starts publisher, workers and the MLflow UI; trains on the synthetic sample first where there is no registry."""

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
            "MLFLOW_TRACKING_URI": self.mlflow_tracking_uri,
        }
        if self.mlflow_tracking_uri == "sqlite:///mlflow.db" and not (ROOT / "mlflow.db").exists():
            print("no registry yet: training on the synthetic sample")
            trained = subprocess.run([sys.executable, "-m", "models", "train", "all"], cwd=ROOT, check=False)
            if trained.returncode:
                return trained.returncode
        listen = f"127.0.0.1:{self.page_port}"
        programs = [Program("publisher", ["publisher", "--listen", listen], environment)]
        programs += [
            Program(f"worker-{number}", ["worker", "--processes", str(self.processes)], environment)
            for number in range(1, self.workers + 1)
        ]
        programs.append(Program("watch", ["models", "watch"], environment))
        # MLflow would start eight more processes for jobs that nobody here gives it.
        ui = {**environment, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        programs.append(Program("mlflow", self._ui(), ui))
        for program in programs:
            remember(FOLDER, program.name, program.start(FOLDER).pid)
        print(f"""up: {", ".join(program.name for program in programs)}; logs are in {FOLDER.relative_to(ROOT)}/
  drop files     cp flights.csv {self.bucket}/
  predictions    {self.bucket}/output/
  see            http://{listen}/ (or make status); python -m models compare
  MLflow UI      http://127.0.0.1:{self.ui_port}/#/models
  end            make down""")
        return 0

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
