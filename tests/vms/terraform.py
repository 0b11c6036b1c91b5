"""The real `terraform` on the module: with the offline stand-in of its provider where that is, else as it comes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.emulators import missing

ROOT = Path(__file__).parents[2]
MODULE = ROOT / "deploy" / "terraform"
OFFLINE = ROOT.parent / "shared" / "tools" / "terraform-offline" / "terraform-offline"


def terraform(command: str, work: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    """`terraform COMMAND` on the module. Ends the test where there is no terraform, or no provider can be had."""
    if shutil.which("terraform") is None:
        missing("terraform is not installed")
    environment = {**os.environ, f"TF_CLI_ARGS_{command}": " ".join(flags)}
    if OFFLINE.is_file():
        return ran([OFFLINE, MODULE, command], ROOT, environment)
    here = shutil.copytree(MODULE, work / "module", ignore=shutil.ignore_patterns(".terraform*"))
    started = ran(["terraform", "init", "-input=false", "-backend=false", "-no-color"], here, environment)
    if started.returncode != 0:
        missing(f"terraform init finds no google provider: {started.stderr[-500:]}")
    return ran(["terraform", command, "-no-color"], here, environment)


def ran(command: list[str | Path], where: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=where, env=environment, capture_output=True, text=True, timeout=280)


def messages(output: str) -> list[dict[str, Any]]:
    """What `terraform test -json` says, one message a line."""
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]


def resources(said: list[dict[str, Any]], run: str) -> list[dict[str, Any]]:
    """The resources of the module as one run of its tests leaves them."""
    for message in said:
        if message["type"] == "test_state" and message["@testrun"] == run:
            found: list[dict[str, Any]] = message["test_state"]["root_module"]["resources"]
            return found
    raise AssertionError(f"terraform told nothing about the run {run}: {said[-3:]}")
