"""What runs elsewhere: the workflows of GitHub, and the hooks of pre-commit."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.pages import ROOT
from tests.unit.test_images import tool
from tests.unit.test_manual import targets

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yaml"))


def workflow(name: str) -> Any:
    return yaml.safe_load((ROOT / ".github" / "workflows" / name).read_text(encoding="utf-8"))


def test_actionlint_is_content() -> None:
    assert len(WORKFLOWS) == 3
    assert tool("actionlint", *map(str, WORKFLOWS)) == ""


def test_a_mistake_in_a_workflow_would_be_seen(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("on: push\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: 'echo ${{ matrix.x }}'}]}}\n")

    assert "matrix" in tool("actionlint", str(wrong))


def test_four_jobs_run_each_room_of_tests_once() -> None:
    parts = workflow("tests.yaml")["jobs"]["part"]["strategy"]["matrix"]["include"]
    rooms = {"/".join(path.relative_to(ROOT).parts[:2]) for path in (ROOT / "tests").rglob("test_*.py")}

    others = [part for part in parts if "python" in part]
    parts = [part for part in parts if "python" not in part]
    assert [(part["python"], part["tests"]) for part in others] == [("3.12", "tests/unit"), ("3.13", "tests/unit")]
    assert len(parts) == 4
    assert Counter(folder for part in parts for folder in part["tests"].split()) == Counter(rooms)
    assert all("test" in part["targets"].split() for part in parts)


@pytest.mark.parametrize("name", ["tests.yaml", "nightly.yaml"])
def test_the_jobs_call_targets_that_there_are(name: str) -> None:
    matrix = workflow(name)["jobs"]["part"]["strategy"]["matrix"]
    called = {target for part in matrix.get("include", []) for target in part["targets"].split()} | set(
        matrix.get("targets", [])
    )

    assert called
    assert called <= set(targets())


def test_nightly_measures_and_leaves_nothing_out() -> None:
    part = workflow("nightly.yaml")["jobs"]["part"]

    assert part["strategy"]["matrix"]["targets"] == ["measure", "test"]
    assert "since" not in part["with"]  # all of them


def test_hooks_are_local_and_fetch_nothing() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    hooks = [hook for repo in config["repos"] for hook in repo["hooks"]]

    assert {repo["repo"] for repo in config["repos"]} == {"local"}
    assert [hook["id"] for hook in hooks] == ["ruff", "format", "arrows"]
    for hook in hooks:
        assert hook["language"] == "system"
        assert hook["entry"].startswith(".venv/bin/")
