"""The images of the Dockerfile, built with the settings and certificates of this machine's pip."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.processes import ROOT
from tests.acceptance.base_image import base_image
from tests.acceptance.engine import Engine

SYSTEM_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
BUILD_SECONDS = 3600.0


@dataclass(frozen=True)
class Built:
    """`own`: bytes beyond the base image, which every other image of that base shares."""

    target: str
    image: str
    base: str
    size: int
    own: int
    seconds: float

    def __str__(self) -> str:
        whole, own = self.size / 1e6, self.own / 1e6
        return f"{self.image}: {whole:.0f} MB ({own:.0f} MB on top of {self.base}), built in {self.seconds:.0f} s"


def build(engine: Engine, folder: Path, targets: Sequence[str]) -> list[Built]:
    """Builds these targets as understudy-TARGET:check, telling each. Raises CannotRunHere and EngineFailed."""
    base = base_image(engine)
    secrets = pip_secrets(folder)
    made = []
    for target in targets:
        image, began = f"understudy-{target}:check", time.monotonic()
        arguments = ["--build-arg", f"BASE_IMAGE={base}", "--build-arg", f"REVISION={_revision()}"]
        engine.run("build", *arguments, *secrets, "--target", target, "--tag", image, str(ROOT), seconds=BUILD_SECONDS)
        size = size_of(engine, image)
        made.append(Built(target, image, base, size, size - size_of(engine, base), time.monotonic() - began))
        print(made[-1], flush=True)
    return made


def size_of(engine: Engine, image: str) -> int:
    return int(engine.run("image", "inspect", "--format", "{{.Size}}", image))


def pip_secrets(folder: Path) -> list[str]:
    """Options of `docker build` that let pip reach what this machine's pip reaches; the image keeps none of it.

    Settings that name a place on this machine's disk are left out: there is no such place in the build.
    """
    told = _pip_told()
    certificates = Path(told.get("cert") or os.environ.get("SSL_CERT_FILE") or SYSTEM_CERTIFICATES)
    lines = ["[global]"]
    lines += [f"{name} = {value}" for name, value in told.items() if not re.search(r"(^|\s)(/|file:)", value)]
    options = []
    if certificates.is_file():
        lines.append("cert = /run/secrets/ca")
        options = ["--secret", f"id=ca,src={certificates}"]
    config = folder / "pip.conf"
    config.write_text("\n".join(lines) + "\n", encoding="utf-8")
    config.chmod(0o600)
    return [*options, "--secret", f"id=pipconf,src={config}"]


def _pip_told() -> Mapping[str, str]:
    """What this machine's pip is told, in its files or in the environment, which comes last and counts."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = re.findall(r"^(global|:env:)\.(\S+)='(.*)'$", asked.stdout, flags=re.MULTILINE)
    return {name: value for _, name, value in sorted(lines, reverse=True)}  # ":env:" sorts before "global"


def _revision() -> str:
    try:
        asked = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    except FileNotFoundError:  # no git: the sources came as an archive
        return "unknown"
    return asked.stdout.strip() or "unknown"
