"""A house with files and a registry, and the commands over both."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge.command import main
from models.commands import aliases as alias_commands
from models.commands import compare as compare_command
from tests.unit.evidence.house import House

COMMANDS = {**compare_command.COMMANDS, **alias_commands.COMMANDS}
Run = Callable[..., int]
Summary = Callable[..., dict[str, Any]]


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`models …` over that bucket; there is no registry unless a test makes one."""
    monkeypatch.setenv("UNDERSTUDY_BUCKET", str(tmp_path / "bucket"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.setenv("COLUMNS", "160")
    return lambda *arguments: main("models", "", COMMANDS, arguments=arguments)


@pytest.fixture
def summary(run: Run, capsys: pytest.CaptureFixture[str]) -> Summary:
    """What `compare --json` says."""

    def of(*arguments: str) -> dict[str, Any]:
        capsys.readouterr()
        assert run("compare", "--json", *arguments) == 0, capsys.readouterr().err
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    return of
