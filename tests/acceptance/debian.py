"""What comes as Debian packages: programs of this machine, installed where this process may, and whole systems."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

DOCKER = "docker.io"
# program → the package that brings it. Docker's is known by its daemon: a client often comes from elsewhere, alone.
ENGINE: Mapping[str, str] = {"dockerd": DOCKER, "iptables": "iptables"}
JAVA: Mapping[str, str] = {"java": "openjdk-17-jre-headless"}
SYSTEM: Mapping[str, str] = {"mmdebstrap": "mmdebstrap"}
COMPOSE: Mapping[str, str] = {"docker-compose": "docker-compose"}
MACHINE: Mapping[str, str] = {
    "qemu-system-x86_64": "qemu-system-x86",
    "genisoimage": "genisoimage",
    "mke2fs": "e2fsprogs",
}
MIRROR = "http://deb.debian.org/debian"
UNUSED = ["/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*"]


class CannotRunHere(Exception):
    """This machine lacks something; the text says what, and how to get it."""


def need(*wanted: Mapping[str, str]) -> None:
    """Returns once all programs are there. Raises CannotRunHere."""
    programs = {program: package for one in wanted for program, package in one.items()}
    packages = missing(programs)
    if packages:
        install(packages)
        packages = missing(programs)
    if packages:
        raise CannotRunHere(
            f"missing: {', '.join(packages)}. As root on Debian this check installs them itself; else:"
            f" apt-get install {' '.join(packages)}"
        )


def install(packages: Sequence[str]) -> None:
    """Tries to, where this process may. No other package is removed for them: it may be an engine that is in use."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return
    print(f"installing Debian's {', '.join(packages)}", flush=True)
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", "--no-remove", *packages]):
        subprocess.run(["apt-get", *command], env=quiet, stdout=subprocess.DEVNULL, check=False)


def missing(programs: Mapping[str, str]) -> list[str]:
    """The packages of those programs that are not on the PATH, each once."""
    return sorted({package for program, package in programs.items() if shutil.which(program) is None})


def need_root(what: str) -> None:
    """Raises CannotRunHere unless this process is root's."""
    if os.geteuid() != 0:
        raise CannotRunHere(f"{what} needs root: run it with sudo, or in a machine of its own")


def make_system(packages: Sequence[str], place: Path, *options: str) -> None:
    """A bookworm of these packages, at `place`: a folder, or a .tar. Needs root. Raises CannotRunHere."""
    need(SYSTEM)
    command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(packages)}", *options]
    command += [f"--dpkgopt=path-exclude={path}" for path in UNUSED]
    done = subprocess.run([*command, "bookworm", str(place), mirror()], capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotRunHere(f"mmdebstrap made no Debian out of {mirror()}: {done.stderr.strip()[-1000:]}")


def mirror() -> str:
    """Where this machine's apt gets bookworm from, so that what is made here comes the same way."""
    asked = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(SITE) $(RELEASE)", "Created-By: Packages"],
        capture_output=True,
        text=True,
        check=False,
    )
    return first_mirror(asked.stdout.splitlines())


def first_mirror(lines: Iterable[str]) -> str:
    """The first site that has bookworm itself, and not its updates; Debian's own where there is none."""
    for line in lines:
        site, _, release = line.strip().partition(" ")
        if release == "bookworm":
            return site
    return MIRROR
