"""docs/penguins.md, typed line by line in a copy of this repository; what it promises is seen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.emulators import free_port
from tests.manual.copied import Reader
from tests.pages import ROOT, blocks

PAGE = (ROOT / "docs" / "penguins.md").read_text(encoding="utf-8")
AWAITED = {"version in force": '"alias": "staging"', "alias": '"version": "2"'}


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    ports = {f"UNDERSTUDY_{name}_PORT": str(free_port()) for name in ("UI", "PAGE")}
    settings = {**ports, "UNDERSTUDY_MODEL": "penguins", "COLUMNS": "120"}
    reader = Reader(tmp_path / "understudy", settings)
    yield reader
    reader.types("make down")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_penguins_as_a_reader_types_them(reader: Reader) -> None:
    verdicts = iter(("no labelled rows so far", "Staging is better. Over 2,998 labelled rows"))
    told: dict[str, str] = {}
    for block in blocks(PAGE):
        if block.language == "python":
            (reader.folder / "penguins.py").write_text(block.text)
        for line in block.text.splitlines() if block.language == "sh" else ():
            if "models compare" in line:
                told[line] = reader.types_until(line, next(verdicts))
            elif line.startswith("grep "):
                for worker in ("worker-1.log", "worker-2.log"):  # the slower of the two may score a file as well
                    told[line] = reader.types_until(line.replace("worker-1.log", worker), AWAITED[line.split('"')[1]])
            elif line.startswith("head "):  # a reader whose file is not there yet types it again
                told[line] = reader.types_until(line)
            elif not line.startswith("export "):
                told[line] = reader.types(line)

    shown = [block.text.strip() for block in blocks(PAGE) if block.language == "text"]
    assert shown[0] in told["python penguins.py"]
    assert shown[1] in told["head -3 bucket/output/pred_day-01.csv"]
    assert "the verdict of ten days" in told["python -m models history"]
