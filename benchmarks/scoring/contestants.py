"""Who scores the same files in turn: the worker, and loops that are programs of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Protocol

from benchmarks.scoring.turns import DONE
from deploy.processes import ROOT, Program, end
from ledger.commit import read_receipt
from ledger.names import Key
from transport.buckets.folder.bucket import FolderBucket
from transport.event import Generation, ObjectEvent
from transport.queues.sqlite.queue import LocalQueue

OURS_ALONE = ("TF_ENABLE_ONEDNN_OPTS",)  # our training sets it, for the same bits on every processor


class Contestant(Protocol):
    """A running program, and what it does in its turn."""

    @property
    def pid(self) -> int: ...

    def score(self, files: list[Path]) -> None:
        """Returns once all files have their output."""

    def stop(self) -> None: ...


class RunningWorker:
    """A real worker on a folder and a local queue, from the first message to the last ack: lease, claim, receipt …

    A file that had its turn is re-scored in the next, with all the same steps. `timings`: seconds per step of each.
    """

    def __init__(self, folder: Path, name: str, environment: dict[str, str], processes: int, *, shadow: bool) -> None:
        place = folder / name
        place.mkdir()
        self._bucket, self._queue = FolderBucket(str(place / "bucket")), LocalQueue(str(place / "queue.db"))
        self._shadow, self._log = shadow, place / "worker.log"
        self._turns: Counter[str] = Counter()  # of each file
        environment = {
            **environment,
            "UNDERSTUDY_BUCKET": self._bucket.url,
            "UNDERSTUDY_QUEUE": self._queue.url,
            "UNDERSTUDY_FILENAMES_LOG": "",
            "UNDERSTUDY_REGISTRY_POLL_SECONDS": "3600",
            "UNDERSTUDY_SHADOW_FRACTION": "1" if shadow else "0",
        }
        self._process = Program("worker", ["worker", "--processes", str(processes)], environment).start(place)
        self.timings: list[dict[str, float]] = []

    @property
    def pid(self) -> int:
        return self._process.pid

    def score(self, files: list[Path]) -> None:
        keys, events = [], []
        for path in files:
            target = Path(self._bucket.url) / path.name
            if not target.exists():
                target.write_bytes(path.read_bytes())
            info = self._bucket.stat(path.name)
            assert info is not None
            generation = Generation(info.generation, self._turns[path.name])
            self._turns[path.name] += 1
            keys.append(Key(path.name, generation))
            events.append(ObjectEvent(self._bucket.name, path.name, generation, "2026-01-01T00:00:00Z", info.size))
        self._queue.publish(event.to_message() for event in events)
        while (backlog := self._queue.backlog()).waiting or backlog.leased:
            if self._process.poll() is not None:
                raise RuntimeError(self._log.read_text()[-2000:])
            time.sleep(0.005)
        for key in keys:
            receipt = read_receipt(self._bucket, key)
            assert receipt is not None
            assert receipt.status.value == "scored", receipt
            assert not self._shadow or self._bucket.stat(key.comparison) is not None
            self.timings.append(dict(receipt.timings))

    def stop(self) -> None:
        end({"worker": self._process})
        self._queue.close()


class Loop:
    """A program that takes turns as `benchmarks.scoring.turns` says; its outputs go to a folder of its own."""

    def __init__(self, folder: Path, name: str, arguments: list[str], python: str = sys.executable) -> None:
        self._outputs = folder / name
        self._outputs.mkdir()
        with (folder / f"{name}.log").open("wb") as log:
            self._process = subprocess.Popen(
                [python, "-m", f"benchmarks.scoring.{name}", *arguments],
                cwd=ROOT,
                env={name: value for name, value in os.environ.items() if name not in OURS_ALONE},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        self._log = folder / f"{name}.log"

    @property
    def pid(self) -> int:
        return self._process.pid

    def score(self, files: list[Path]) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([list(map(str, files)), str(self._outputs)]).encode() + b"\n")
        self._process.stdin.flush()
        if self._process.stdout.readline() != DONE:
            raise RuntimeError(self._log.read_text()[-2000:])

    def stop(self) -> None:
        self._process.communicate(timeout=60)
