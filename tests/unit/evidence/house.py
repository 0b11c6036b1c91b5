"""A folder bucket whose files are scored by a worker's own parts, with two versions of which one is better."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from deploy.waiting import wait_for
from ledger.names import Key, is_input
from models.registry.client import Registry
from models.registry.spec import METADATA_KEY, SPEC_FILE
from models.scoring.table.limits import USUAL_LIMITS, Limits
from tests.memory import MemoryQueue
from tests.unit.registered import MODEL, good_files, mlmodel, new_registry, register
from tests.worker_fixtures import HEADER, SPEC, Here, Worker, fetched
from transport.buckets.folder.bucket import FolderBucket
from transport.event import Generation, ObjectEvent
from worker.versions.swap import InForce

BIAS = 2.0  # of staging's answers, which are the right ones here


def answered(numbers: Iterable[int], *, header: str = HEADER, sure: float = 1.0) -> bytes:
    """A row per number, always the same for a number, with the label that staging gives it in the share `sure`."""
    lines = [header]
    for number in numbers:
        random = np.random.default_rng(number)
        weight, age, red = float(random.normal(0, 3)), int(random.integers(90)), random.random() < 0.5
        yes = weight + 2 * red - age / 10 + BIAS > 0
        cells = {
            "id": f"p-{number}",
            "colour": "red" if red else "green",
            "weight": f"{weight:.6f}",
            "age": str(age),
            "label": "yes" if yes == (random.random() < sure) else "no",
        }
        lines.append(",".join(cells[name] for name in header.split(",")))
    return ("\n".join(lines) + "\n").encode()


class House:
    """A bucket, and a worker for what is dropped into it. `at` [path]: the bucket's folder."""

    def __init__(self, folder: Path, versions: InForce | None = None, limits: Limits = USUAL_LIMITS) -> None:
        self.at = folder / "bucket"
        self.bucket = FolderBucket(str(self.at))
        self._scored: set[Key] = set()
        spec = replace(SPEC, name=MODEL)
        versions = versions or InForce(*(fetched(folder, str(n + 1), bias=n * BIAS, spec=spec) for n in range(2)))
        pools = Here(self.bucket), Here(self.bucket)
        self.worker = Worker(self.bucket, MemoryQueue(), *pools, versions, {"limits": limits})

    def drop(self, name: str, content: bytes) -> None:
        """Writes the file, as a copy over it does, and has it scored and compared."""
        self.at.mkdir(exist_ok=True)
        (self.at / name).write_bytes(content)
        self.look()

    def touch(self, name: str) -> None:
        """Sets the file's mode and nothing else, and has it scored and compared."""
        path = self.at / name
        before = path.stat()
        # The clock of a file system is coarse: the same instant twice is no change.
        wait_for(lambda: (path.chmod(before.st_mode), path.stat().st_ctime_ns)[1] > before.st_ctime_ns, "a new time")
        self.look()

    def look(self) -> None:
        """Publishes what was not scored yet, as the publisher does, and handles it."""
        for info in self.bucket.objects("", recursive=False):
            key = Key(info.name, Generation(info.generation))
            if is_input(info.name) and key not in self._scored:
                self._scored.add(key)
                event = ObjectEvent(self.bucket.name, *vars(key).values(), "2026-05-01T08:00:00Z", size=info.size)
                self.worker.queue.publish([event.to_message()])
                self.worker.handle()
                assert self.bucket.stat(key.comparison)


def registry(folder: Path, **training: Mapping[str, Any]) -> str:
    """The address of one with production 1 and staging 2. `training`: what is kept of it, by alias."""
    address = new_registry(folder)
    for number, alias in enumerate(("production", "staging"), start=1):
        files = good_files(float(number))
        if alias in training:
            metadata = json.loads(mlmodel())["metadata"]
            metadata[METADATA_KEY]["training"] = training[alias]
            files[SPEC_FILE] = mlmodel(metadata=metadata)
        register(address, folder / str(number), files)
        Registry(address, MODEL).client.set_registered_model_alias(MODEL, alias, str(number))
    return address
