"""`make demo-cloud`: the same demo on Pub/Sub's emulator and fake-gcs-server, with true notifications between them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack, closing
from pathlib import Path

from pydantic import Field
from rich.console import Console

from deploy.demo.show import conclude, typed
from deploy.demo.steps import drop_and_watch, places_of, programs, train
from deploy.emulators import DidNotStart, Notifications, NotInstalled, PubSubEmulator, StorageEmulator
from deploy.processes import ROOT, end
from edge.command import Command, main
from ledger.names import OUTPUT
from transport.bucket import Bucket, get
from transport.open import open_bucket

PROJECT, TOPIC, BUCKET = "demo", "flights", "understudy-demo"


class DemoCloud(Command):
    """The demo on Google's services, emulated: uploads, notifications, Pub/Sub, two workers, outputs in the bucket.

    Exit 0 only if every file has its receipt; 2 where an emulator, or Java, is not installed.
    """

    folder: Path = Field(ROOT / ".run" / "demo-cloud", description="made again at each run")
    workers: int = Field(2, ge=1, description="how many workers")
    seconds: float = Field(120.0, gt=0, description="how long the scoring may take")

    def run(self) -> int:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        console = Console()
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that all that was started is ended then, too
        try:
            with ExitStack() as emulators:
                return self._run(console, emulators)
        except NotInstalled as error:
            print(f"make demo-cloud: {error}", file=sys.stderr)
            return 2
        except DidNotStart as error:
            print(f"make demo-cloud: {error}", file=sys.stderr)
            return 1

    def _run(self, console: Console, emulators: ExitStack) -> int:
        pubsub = PubSubEmulator.installed(log=self.folder / "pubsub-emulator.log")
        notifications = Notifications(pubsub.host, PROJECT, TOPIC)
        storage = StorageEmulator.installed(notifications, log=self.folder / "fake-gcs-server.log")
        environment = places_of(self.folder, f"gs://{BUCKET}", f"pubsub://{PROJECT}/{TOPIC}")
        environment |= {"PUBSUB_EMULATOR_HOST": pubsub.host, "STORAGE_EMULATOR_HOST": storage.url}

        console.rule("1 of 4: training both models on a synthetic sample")
        if not train(environment, console):
            return 1

        console.rule("2 of 4: bucket, topics, subscriptions")
        for emulator in (pubsub, storage):
            emulators.callback(emulator.kill)
            emulator.start()
        # The clients below are in this process, and find the emulators as every program does.
        os.environ.update(environment)
        from google.cloud.storage import Client

        bucket = emulators.enter_context(closing(open_bucket(environment["UNDERSTUDY_BUCKET"])))
        drop_zone = Client(project=PROJECT).create_bucket(BUCKET)
        provisioned = subprocess.run([sys.executable, "-m", "publisher", "provision"], cwd=ROOT, check=False)
        if provisioned.returncode:
            return 1

        def drop(name: str, content: bytes) -> int | None:
            # As any program of Google's customers would: no more than an upload.
            blob = drop_zone.blob(name)
            blob.upload_from_string(content, content_type="text/csv")
            return int(blob.generation)

        console.rule("3 of 4: publisher, workers, and twenty files")
        processes: dict[str, subprocess.Popen[bytes]] = {}
        try:
            # The files come by notification; the publisher is there for those that get lost, and for dead letters.
            for program in programs(environment, self.workers, "--interval", "10m"):
                processes[program.name] = program.start(self.folder)
            with console.status("the workers load both models"):
                self._await_workers(processes)
            dropped = drop_and_watch(bucket, drop, console, processes, self.seconds)
        finally:
            statuses = end(processes)

        console.rule("4 of 4: what came of it")
        keep_outputs(bucket, self.folder)
        shown = typed(self.folder)
        places = {
            "predictions": f"{shown}/output/pred_*.csv",
            "receipts": f"{shown}/output/receipts/",
            "comparisons": f"{shown}/output/comparisons/",
            "": f"copies of gs://{BUCKET}/output/: the emulators are ended, and kept nothing",
            "logs": f"{shown}/*.log, new_data_filenames.txt",
            "MLflow UI": f"{typed(Path(sys.executable))} -m mlflow ui --backend-store-uri sqlite:///{shown}/mlflow.db",
            "for real": "docs/cloud.md",
        }
        return conclude(bucket, console, dropped, statuses, places, self.folder)

    def _await_workers(self, processes: Mapping[str, subprocess.Popen[bytes]]) -> None:
        """Until all take messages: the emulator gives everything that waits to the first that asks for some."""
        waiting = {name: process for name, process in processes.items() if name.startswith("worker")}
        deadline = time.monotonic() + self.seconds
        while waiting and time.monotonic() < deadline:
            for name, process in list(waiting.items()):
                if b"worker ready" in (self.folder / f"{name}.log").read_bytes() or process.poll() is not None:
                    del waiting[name]
            time.sleep(0.1)


def keep_outputs(bucket: Bucket, folder: Path) -> None:
    """Copies what the bucket has below output/ into the folder."""
    for info in bucket.objects(OUTPUT):
        path = folder / info.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(get(bucket, info.name))


if __name__ == "__main__":
    sys.exit(main("deploy.demo.cloud", DemoCloud.__doc__ or "", {}, default=DemoCloud))
