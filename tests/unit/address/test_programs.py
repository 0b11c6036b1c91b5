"""Every program with a password in the registry's address: nothing that it writes, logs or answers has it."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.understudy import Running

PASSWORD = "hunter2hunter2"
ADDRESSES = {
    "http": f"http://ann:{PASSWORD}@127.0.0.1:1/mlflow",
    "postgresql": f"postgresql://ann:{PASSWORD}@127.0.0.1:1/mlflow",
    "in the query": f"postgresql://127.0.0.1:1/mlflow?user=ann&password={PASSWORD}",
    "mysql": f"mysql+pymysql://ann:{PASSWORD}@127.0.0.1:1/mlflow",
}
NIGHTLY = ("in the query", "mysql")  # they differ in what tests of the function alone show, too
COMMANDS = (
    "models list",
    "models history",
    "models promote 1",
    "models stage 1",
    "models rollback",
    "models swap",
    "models compare",
    "models watch --once",
    "models train forest",
    "models train forest --unless-served",
    "publisher status",
    "publisher --once",
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(
    params=[pytest.param(kind, marks=[pytest.mark.nightly] if kind in NIGHTLY else []) for kind in ADDRESSES]
)
def running(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Running]:
    with Running(tmp_path, ADDRESSES[request.param], tmp_path / "cache") as running:
        running.environment["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"  # a training would go on asking for minutes
        yield running


def test_a_worker_logs_and_answers_no_password(running: Running) -> None:
    worker = running.worker("--listen", "127.0.0.1:0", "--log-level", "debug")
    url = worker.wait_for_log("listening")["url"]
    worker.wait_for_log("waiting for a production version")

    answers = []
    for path in ("/readyz", "/healthz", "/metrics"):
        try:
            with urllib.request.urlopen(f"{url}{path}", timeout=60) as answer:
                answers.append(answer.read().decode())
        except urllib.error.HTTPError as error:
            answers.append(error.read().decode())
    assert worker.end() == 0

    said = worker.log.read_text() + "".join(answers)
    assert "127.0.0.1:1" in said
    assert PASSWORD not in said


def test_no_command_writes_a_password(running: Running) -> None:
    programs = []
    for command in COMMANDS:
        program = running.start(command)
        programs.append((command, program))
        program.status()

    said = {command: program.log.read_text() for command, program in programs}

    assert [command for command, text in said.items() if PASSWORD in text] == []
    assert all(text for command, text in said.items() if command.startswith("models"))
