"""A program that comes off the starter is what `python -m` would have made of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from deploy.waiting import wait_for
from tests.starter import Process, start

TELLS = """
import json, os, signal, sys, tempfile
import sitecustomize
told = {
    "name": __name__, "arguments": sys.argv, "folder": os.getcwd(), "environment": dict(os.environ),
    "path": sys.path, "temporary": tempfile.gettempdir(), "input": sys.stdin.read(),
    "leads its session": os.getsid(0) == os.getpid(),
    "customized": sitecustomize.__file__, "ours": sorted(name for name in sys.modules if name.startswith("worker")),
    "signals": [str(signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE)],
}
print(json.dumps(told))
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "tells.py").write_text(TELLS)
    (tmp_path / "ends.py").write_text("import sys; print('to stderr', file=sys.stderr); sys.exit(3)")
    (tmp_path / "stays.py").write_text("import time; print('here', flush=True); time.sleep(600)")
    (tmp_path / "sitecustomize.py").touch()
    return tmp_path


def started(place: Path, *command: str, by_exec: bool = False) -> Process:
    environment = {"PYTHONPATH": str(place), "TMPDIR": str(place), "OF_ITS_OWN": "1", "PATH": os.environ["PATH"]}
    return start(command, folder=place, environment=environment, log=place / "log", by_exec=by_exec)


def test_it_finds_what_it_finds_when_python_starts_it(place: Path) -> None:
    told = []
    for by_exec in (True, False):
        assert started(place, "tells", "--an", "option", by_exec=by_exec).wait(60) == 0
        told.append(json.loads((place / "log").read_text()))
        told[-1]["environment"].pop("LC_CTYPE", None)  # Python sets it as it starts, where there is no locale (PEP 538)

    assert told[0] == told[1]
    assert told[1]["environment"]["OF_ITS_OWN"] == "1"


def test_its_status_is_its_own(place: Path) -> None:
    program = started(place, "ends")

    assert program.wait(60) == program.poll() == program.returncode == 3
    assert (place / "log").read_text() == "to stderr\n"


def test_it_is_waited_for_as_long_as_told_and_killed(place: Path) -> None:
    program = started(place, "stays")
    wait_for(lambda: (place / "log").read_text() == "here\n")

    assert program.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        program.wait(0.01)
    program.send_signal(signal.SIGKILL)
    assert program.wait(60) == -signal.SIGKILL
    program.send_signal(signal.SIGKILL)  # one that has ended is sent nothing
