"""`make demo`: the whole way of twenty files on this machine, from training to the comparison, in one command."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from pydantic import Field
from rich.console import Console

from deploy.demo.show import conclude, typed
from deploy.demo.steps import drop_and_watch, places_of, programs, train
from deploy.processes import ROOT, end
from edge.command import Command, main
from transport.open import open_bucket


class Demo(Command):
    """Trains on a synthetic sample, drops 20 files, shows them being scored; exit 0 only if each has its receipt."""

    folder: Path = Field(ROOT / ".run" / "demo", description="made again at each run")
    workers: int = Field(2, ge=1, description="how many workers")
    seconds: float = Field(120.0, gt=0, description="how long the scoring may take")

    def run(self) -> int:
        console = Console()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        environment = places_of(self.folder, str(self.folder / "bucket"), str(self.folder / "queue.db"))
        console.rule("1 of 3: training both models on a synthetic sample")
        if not train(environment, console):
            return 1
        console.rule("2 of 3: publisher, workers, and twenty files")
        bucket = open_bucket(environment["UNDERSTUDY_BUCKET"])

        def drop(name: str, content: bytes) -> int | None:
            # As a person does: a plain copy into the folder.
            with tempfile.NamedTemporaryFile(dir=self.folder, delete=False) as file:
                file.write(content)
            shutil.move(file.name, Path(bucket.url) / name)
            info = bucket.stat(name)
            return info.generation if info else None

        processes: dict[str, subprocess.Popen[bytes]] = {}
        try:
            for program in programs(environment, self.workers):
                processes[program.name] = program.start(self.folder)
            dropped = drop_and_watch(bucket, drop, console, processes, self.seconds)
        finally:
            statuses = end(processes)
        console.rule("3 of 3: what came of it")
        place, shown = typed(Path(bucket.url)), typed(self.folder)
        places = {
            "predictions": f"{place}/output/pred_*.csv",
            "receipts": f"{place}/output/receipts/",
            "comparisons": f"{place}/output/comparisons/",
            "logs": f"{shown}/*.log, new_data_filenames.txt",
            "MLflow UI": f"{typed(Path(sys.executable))} -m mlflow ui --backend-store-uri sqlite:///{shown}/mlflow.db",
        }
        return conclude(bucket, console, dropped, statuses, places, self.folder)


if __name__ == "__main__":
    sys.exit(main("deploy.demo", Demo.__doc__ or "", {}, default=Demo))
