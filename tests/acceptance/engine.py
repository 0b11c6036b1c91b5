"""A Docker engine: the one that answers, else one of our own for as long as a check runs, all of it in one folder."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.processes import uninterrupted
from deploy.waiting import NotInTime, wait_for
from tests.acceptance.debian import DOCKER, ENGINE, CannotRunHere, install, need, need_root

START_SECONDS = 180.0
END_SECONDS = 180.0
ANSWER_SECONDS = 30.0
COMMAND_SECONDS = 600.0
DEBIANS_CLIENT = Path("/usr/bin/docker")  # another one may come first on the PATH


class EngineFailed(Exception):
    """A command of docker failed; the text holds what it said last."""


@dataclass(frozen=True)
class Engine:
    """`client`: the docker command that builds with BuildKit here. `ours`: it ends with the check."""

    client: str
    environment: Mapping[str, str]
    ours: bool

    def run(self, *arguments: str, seconds: float = COMMAND_SECONDS) -> str:
        """What `docker ARGUMENTS` prints. Raises EngineFailed."""
        done = self.attempt(*arguments, seconds=seconds)
        if done.returncode:
            said = (done.stderr or done.stdout).strip().splitlines()[-30:]
            raise EngineFailed("\n".join([f"docker {' '.join(arguments)}: exit {done.returncode}", *said]))
        return done.stdout.strip()

    def attempt(self, *arguments: str, seconds: float = COMMAND_SECONDS) -> subprocess.CompletedProcess[str]:
        """The same for a command whose failure is an answer too. Raises EngineFailed when it takes too long."""
        try:
            return subprocess.run(
                [self.client, *arguments],
                env={**os.environ, **self.environment},
                capture_output=True,
                text=True,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise EngineFailed(f"docker {' '.join(arguments)}: not done after {seconds:.0f} s") from None

    def has(self, image: str) -> bool:
        return self.attempt("image", "inspect", image).returncode == 0


@contextmanager
def engine(folder: Path) -> Iterator[Engine]:
    """The engine that answers here, left running; else one started in `folder`, ended and emptied afterwards.

    Raises CannotRunHere where there is none and none can be started.
    """
    standing = _standing()
    if standing is not None:
        yield standing
        return
    place = folder / "engine"
    try:
        with own_engine(place) as ours:
            yield ours
    finally:
        with uninterrupted():
            shutil.rmtree(place, ignore_errors=True)


@contextmanager
def own_engine(place: Path) -> Iterator[Engine]:
    """An engine of our own, whose images stay in `place`/data when it has ended. Raises CannotRunHere."""
    need_root("a Docker engine of the check's own")
    need(ENGINE)
    client = _building_client()
    place.mkdir(parents=True)
    socket = f"unix://{place / 'docker.sock'}"
    with (place / "dockerd.log").open("ab") as log:
        daemon = subprocess.Popen(_command(place, socket), stdout=log, stderr=log, start_new_session=True)
    ours = Engine(client, {"DOCKER_HOST": socket, "DOCKER_BUILDKIT": "1"}, ours=True)
    try:
        _await(ours, daemon, place / "dockerd.log")
        yield ours
    finally:
        with uninterrupted():
            _end(ours, daemon)
            # dockerd mounts its data on themselves, and forgets that where / is itself a folder of another system.
            subprocess.run(["umount", str(place / "data")], capture_output=True, check=False)


def _standing() -> Engine | None:
    """The engine that answers here. A client proves none: many machines have one that talks to nobody."""
    environment = {"DOCKER_BUILDKIT": "1"}
    if not any(_answers(Engine(client, environment, ours=False)) for client in _clients()):
        return None
    found = Engine(_building_client(), environment, ours=False)
    return found if _answers(found) else None


def _answers(engine: Engine) -> bool:
    try:
        asked = engine.attempt("info", "--format", "{{.ServerVersion}}", seconds=ANSWER_SECONDS)
    except EngineFailed:
        return False
    return asked.returncode == 0 and asked.stdout.strip() != ""  # some clients say nothing, with status 0


def _clients() -> list[str]:
    """Every docker command that is here: the one on the PATH first."""
    found = [shutil.which("docker"), shutil.which(str(DEBIANS_CLIENT))]
    return list(dict.fromkeys(client for client in found if client))


def _building_client() -> str:
    """The first that builds with BuildKit. Debian's is installed where none does. Raises CannotRunHere."""
    if (client := _first_that_builds()) is None:
        install([DOCKER])
        client = _first_that_builds()
    if client is None:
        raise CannotRunHere("no docker is here that builds: install docker-buildx, or Debian bookworm's docker.io")
    return client


def _first_that_builds() -> str | None:
    """Debian's builds with BuildKit by itself; a newer one needs buildx, which may not be installed."""
    for client in _clients():
        version = subprocess.run([client, "--version"], capture_output=True, text=True, check=False).stdout
        buildx = subprocess.run([client, "buildx", "version"], capture_output=True, check=False)
        if builds_with_buildkit(version, buildx.returncode == 0):
            return client
    return None


def builds_with_buildkit(version: str, has_buildx: bool) -> bool:
    """From what `docker --version` says, like `Docker version 20.10.24+dfsg1, build 297e128`."""
    number = version.removeprefix("Docker version ").partition(".")[0]
    return has_buildx or (number.isdigit() and int(number) < 23)


def _command(place: Path, socket: str) -> Sequence[str]:
    return [
        "dockerd",
        *("--data-root", str(place / "data")),
        *("--exec-root", str(place / "exec")),
        *("--pidfile", str(place / "dockerd.pid")),
        *("--host", socket),
        *("--storage-driver", "overlay2"),
        *("--default-ulimit", "nofile=20000:20000"),
    ]


def _await(ours: Engine, daemon: subprocess.Popen[bytes], log: Path) -> None:
    try:
        wait_for(lambda: daemon.poll() is not None or _answers(ours), seconds=START_SECONDS, every=0.2)
        stands = daemon.poll() is None
    except NotInTime:
        stands = False
    if not stands:
        last = " | ".join(log.read_text(errors="replace").splitlines()[-3:])
        raise CannotRunHere(f"no Docker engine can be started on this machine; dockerd says: {last}")


def _end(ours: Engine, daemon: subprocess.Popen[bytes]) -> None:
    """Containers first: a daemon that ends leaves their mounts behind, and nothing below these can be removed."""
    if daemon.poll() is not None:
        return
    try:
        left = ours.attempt("ps", "--all", "--quiet").stdout.split()
        if left:
            ours.attempt("rm", "--force", "--volumes", *left)
    finally:
        daemon.terminate()
        try:
            daemon.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()
