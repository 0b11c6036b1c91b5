"""A copy of this repository for a reader who types what a page says, line by line."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from deploy.waiting import wait_for
from edge.command import PREFIX
from tests.pages import ROOT

COPIED = ("Makefile", "requirements", "transport", "ledger", "edge", "publisher", "worker", "models", "deploy")


class Reader:
    """Types commands in `folder`, a copy of the sources that shares this .venv."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        folder.mkdir()
        self.folder = folder
        for name in COPIED:
            source = ROOT / name
            # The times of the files are kept, so that `make install` finds nothing to do
            if source.is_dir():
                shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns(".terraform", "*.pyc.*"))
            else:
                shutil.copy2(source, folder / name)
        (folder / ".venv").symlink_to(sys.prefix)
        ours = (PREFIX, "MLFLOW_")  # MLflow has put in what the tests before have told it
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        self._environment = {**inherited, "MLFLOW_DISABLE_TELEMETRY": "true", **environment}

    def types(self, line: str, *, seconds: float = 300.0) -> str:
        """What the line prints; it must end with status 0."""
        status, told = self._run(line, seconds)
        assert status == 0, f"$ {line}\n{told}"
        return told

    def types_until(self, line: str, expected: str = "", *, seconds: float = 300.0) -> str:
        """Types the line again and again, until it ends with status 0 and prints `expected`; what it then prints."""
        told = ""

        def is_told() -> bool:
            nonlocal told
            status, told = self._run(line, seconds)
            return status == 0 and expected in " ".join(told.split())

        wait_for(is_told, lambda: f"{expected!r}\n$ {line}\n{told}", seconds, every=0.3)
        return told

    def _run(self, line: str, seconds: float) -> tuple[int, str]:
        # Into a file: what the line leaves running must not keep a pipe open
        with (self.folder / "told.txt").open("w+b") as told:
            process = subprocess.Popen(
                ["bash", "-c", f'PATH="$PWD/.venv/bin:$PATH"\n{line}'],
                cwd=self.folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=told,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                status = process.wait(seconds)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                status = process.wait()
            told.seek(0)
            return status, told.read().decode()
