"""`make image-check`: the images really built, and the worker run out of its image as an operator should run it.

Not root, read-only, no capabilities, no network, memory capped, on a folder with bucket, queue and registry.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.acceptance.checked import checked, expect, tell, until
from tests.acceptance.container import Container
from tests.acceptance.dropped import DroppedFiles, sample
from tests.acceptance.engine import Engine, engine
from tests.acceptance.images import Built, build
from transport.open import open_bucket

USER = 65532
MEMORY = "1g"
START_SECONDS, TRAIN_SECONDS, SCORE_SECONDS = 600.0, 1200.0, 600.0  # of patience: a machine may be busy
STOP_SECONDS = 30  # what a VM or an orchestrator usually gives
LOAD_FILES, LOAD_ROWS = 30, 20_000
PROGRAM = {"UNDERSTUDY_PROCESSES": "1", "UNDERSTUDY_INTERVAL": "1s"}
UNWANTED = {"worker": ["tensorflow", "sklearn", "pandas", "publisher"], "publisher": ["tensorflow", "worker", "models"]}


def check(folder: Path) -> None:
    with engine(folder) as docker:
        images = {one.target: one for one in build(docker, folder, ["worker", "publisher", "models"])}
        for one in images.values():
            _expect_well_built(docker, one)
        data = folder / "data"
        data.mkdir()
        os.chown(data, USER, USER)
        with _started(docker, images, data) as started:
            _run(started, data)


def _expect_well_built(docker: Engine, built: Built) -> None:
    def inside(*command: str) -> int:
        run = ["run", "--rm", "--network", "none", "--entrypoint", command[0], built.image, *command[1:]]
        return docker.attempt(*run).returncode

    configured = docker.run("image", "inspect", "--format", "{{.Config.User}} {{.Config.StopSignal}}", built.image)
    expect(configured == f"{USER}:{USER} SIGTERM", f"{built.image}: user and stop signal are {configured}")
    for compiler in ("cc", "gcc", "g++", "clang", "make"):
        found = inside("sh", "-c", f"command -v {compiler}")
        expect(found != 0, f"{built.image} has {compiler} in it")
    for module in UNWANTED.get(built.target, []):
        look = f"import sys, importlib.util; sys.exit(importlib.util.find_spec('{module}') is not None)"
        expect(inside("python", "-c", look) == 0, f"{built.image} has {module} in it")
    named = "import locale; locale.setlocale(locale.LC_CTYPE, 'en_US.UTF-8')"
    expect(inside("python", "-c", named) == 0, f"{built.image} lacks the locale that graphs of text need")
    # Of a secret's mount an engine may leave the empty place.
    left = inside("sh", "-c", "cat /run/secrets/* /etc/pip.conf 2>/dev/null | grep -q .")
    expect(left != 0, f"{built.image} holds what was to stay a secret of its build")


class _Started:
    """Containers on one folder, all of them removed in the end."""

    def __init__(self, docker: Engine, images: Mapping[str, Built], data: Path) -> None:
        self._docker, self._images, self._data = docker, images, data
        self.containers: list[Container] = []

    def start(self, target: str, *arguments: str, memory: str = MEMORY) -> Container:
        name = f"understudy-check-{os.getpid()}-{len(self.containers)}"
        self.containers.append(Container(self._docker, name))  # before it starts: one that fails to is there as well
        return Container.start(
            self._docker,
            name,
            self._images[target].image,
            memory=memory,
            data=self._data,
            environment=PROGRAM,
            arguments=arguments,
        )


@contextmanager
def _started(docker: Engine, images: Mapping[str, Built], data: Path) -> Iterator[_Started]:
    started = _Started(docker, images, data)
    try:
        yield started
    finally:
        for container in started.containers:
            container.remove()


def _run(started: _Started, data: Path) -> None:
    training = started.start("models", "train", "forest", "network", memory="4g")
    tell(f"a forest and a network trained and registered out of the image in {training.await_end(TRAIN_SECONDS):.0f} s")

    publisher, worker = started.start("publisher"), started.start("worker")
    tell(f"the worker is healthy after {worker.await_healthy(START_SECONDS):.1f} s")
    publisher.await_healthy(START_SECONDS)

    bucket = open_bucket(str(data / "bucket"))
    dropped_files = DroppedFiles(bucket)
    small, *load = sample(1, 1000, seed=6) + sample(LOAD_FILES, LOAD_ROWS, seed=7)

    def drop(contents: Mapping[str, bytes]) -> None:
        for name, content in contents.items():
            path = data / f".{name}"
            path.write_bytes(content)
            os.chown(path, USER, USER)
            shutil.move(path, data / "bucket" / name)
        dropped_files.dropped(contents)

    drop({"first.csv": small})
    tell(f"its first file of 1,000 rows has its receipt after {dropped_files.await_all(SCORE_SECONDS):.1f} s")
    dropped_files.expect_nothing_lost()

    drop({f"load-{number:02}.csv": content for number, content in enumerate(load)})
    until(lambda: len(dropped_files.without_receipt) < LOAD_FILES - 2, SCORE_SECONDS, worker.told)
    took = worker.stop(STOP_SECONDS)
    left = len(dropped_files.without_receipt)
    tell(f"docker stop under load: drained in {took:.1f} s, exit 0; {left} of {LOAD_FILES} files are left")
    expect(left > 0, "the worker had scored everything before it was told to stop: that was no load")
    expect(not worker.state()["OOMKilled"], f"the worker ran out of its {MEMORY}")

    another = started.start("worker")
    tell(f"another worker has scored these after {dropped_files.await_all(SCORE_SECONDS):.1f} s")
    dropped_files.expect_nothing_lost()
    another.stop(STOP_SECONDS)
    publisher.stop(STOP_SECONDS)
    tell(f"{LOAD_FILES + 1} files, {LOAD_FILES + 1} receipts, a prediction for each of their rows")


if __name__ == "__main__":
    sys.exit(checked("make image-check", check))
