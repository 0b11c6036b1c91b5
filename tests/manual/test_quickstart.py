"""docs/quickstart.md, typed line by line in a copy of this repository; what it promises is seen."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.emulators import free_port
from deploy.waiting import wait_for
from tests.manual.copied import Reader
from tests.pages import ROOT, blocks

PAGE = (ROOT / "docs" / "quickstart.md").read_text(encoding="utf-8")
NOT_TYPED = ("git clone ", "cd understudy", ". .venv/bin/activate")  # the copy takes their place
WAITS = ("head ", "cat ", "grep ")  # a reader whose file is not there yet types it again


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def page_port() -> int:
    return free_port()


@pytest.fixture
def reader(tmp_path: Path, port: int, page_port: int) -> Iterator[Reader]:
    ports = {"UNDERSTUDY_UI_PORT": str(port), "UNDERSTUDY_PAGE_PORT": str(page_port)}
    reader = Reader(tmp_path / "understudy", {**ports, "COLUMNS": "120"})
    yield reader
    reader.types("make down")


def shown_at(port: int) -> str:
    """The page of the publisher."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60) as page:
        return str(page.read().decode())


def move_alias_in_mlflow(port: int) -> None:
    """What the click on "Save aliases" sends (tests/hotswap/test_moves.py clicks it in a browser)."""
    from mlflow import MlflowClient

    address = f"http://127.0.0.1:{port}"
    client = MlflowClient(address, address)  # both: a training in this process has told MLflow of another registry
    client.set_registered_model_alias("airline-satisfaction", "production", "2")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_quickstart_as_a_reader_types_it(
    reader: Reader, port: int, page_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")  # a registry in this process has set it to 5 seconds
    told: dict[str, str] = {}
    for block in blocks(PAGE):
        if block.language == "python":
            name = block.text.splitlines()[0].removeprefix("# ")
            (reader.folder / name).write_text(block.text)
        for line in block.text.splitlines() if block.language == "sh" else ():
            if line.startswith(NOT_TYPED):
                continue
            if line.startswith('grep "version in force"'):
                move_alias_in_mlflow(port)
                for worker in ("worker-2.log", "worker-1.log"):  # either may score what comes next
                    told[line] = reader.types_until(line.replace("worker-1.log", worker), '"before": "1"')
            elif "models compare" in line:
                told[line] = reader.types_until(line, "Staging is better.")
            elif "staging" in line and line.startswith("grep "):
                for worker in ("worker-1.log", "worker-2.log"):
                    told[line] = reader.types_until(line, f".run/up/{worker}:")
            elif line == "make down":
                told["page"] = wait_for(
                    lambda: text if "Staging is better" in (text := shown_at(page_port)) else "", "the verdict"
                )
                told[line] = reader.types(line)
            elif line.startswith(WAITS):
                told[line] = reader.types_until(line)
            else:
                told[line] = reader.types(line)

    shown = [block.text.splitlines() for block in blocks(PAGE) if block.language == "text"]
    said = {line: text.splitlines() for line, text in told.items()}
    assert said["head -3 bucket/output/pred_flights.csv"] == shown[1]
    assert "│ forest │ 1       │ production │" in told["python -m models train forest"]
    rejected = told["cat bucket/output/receipts/people.csv@*.json"]
    assert '"status": "rejected"' in rejected
    assert "the header lacks 'Gender', 'Customer Type', 'Type of Travel'" in rejected
    assert "version 2" in told["python mine.py"]
    assert told["grep '\"version\"' bucket/output/receipts/survey.csv@*.json"].strip() == '"version": "2",'
    assert "production moved from version 2 to version 1" in told['python -m models rollback --why "to see it"']
    assert "to see it" in told["python -m models history"]
    assert f"http://127.0.0.1:{page_port}/" in told["make up"]
    assert "survey.csv" in told["page"]
    assert "ended: mlflow, publisher, watch, worker-1, worker-2" in told["make down"]
    assert (reader.folder / "report.html").stat().st_size > 10_000
