"""The examples of README.md and docs/evidence.md, typed in a copy of this repository over two small models."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import pytest

from models.registry.client import Registry
from tests.manual.copied import Reader
from tests.pages import ROOT, blocks
from tests.registry import copy_registry

# What the page takes for granted: a pipeline of the reader's own, and rows to test it on
BEFORE = """\
import pandas
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

test_rows = pandas.DataFrame({"plan": ["basic", "full"] * 20, "months": [float(month) for month in range(40)]})
columns = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["plan"]), remainder="passthrough")
pipeline = make_pipeline(columns, LogisticRegression()).fit(test_rows, ["yes", "no"] * 20)
"""
# and a notebook that has logged it
LOGGED = """\
import mlflow
mlflow.set_tracking_uri("sqlite:///mlflow.db")
mlflow.sklearn.log_model(pipeline, name="model", registered_model_name="churn", input_example=test_rows,
                         serialization_format="cloudpickle", pip_requirements=[])
"""


def block_with(page: str, words: str) -> str:
    found = [block.text for block in blocks((ROOT / page).read_text(encoding="utf-8")) if words in block.text]
    assert len(found) == 1, f"{page} has {len(found)} blocks with {words!r}"
    return found[0]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_your_own_bucket_and_which_model_is_better(tmp_path: Path, tiny_registry: str) -> None:
    reader = Reader(tmp_path / "understudy", {})
    data = tmp_path / "data"
    data.mkdir()
    copy_registry(tiny_registry, data)
    reader.types("python -m models sample --rows 300 --out flights.csv")
    typed = block_with("README.md", "export UNDERSTUDY_BUCKET=").replace("/data", str(data))
    # The worker waits 15 seconds for its staging version; a file that comes before has no shadow. told.txt is its log
    in_force = """until grep -q '"alias": "staging".*"message": "version in force"' told.txt; do sleep 0.1; done"""
    assert typed.count("\nmkdir -p ") == 1
    typed = typed.replace("\nmkdir -p ", f"\n{in_force}\nmkdir -p ")
    asked = [line for line in block_with("docs/evidence.md", "models compare --html").splitlines() if "compare" in line]

    told = reader.types(
        f"""set -e
        trap 'kill $(jobs -p); wait' EXIT
        {typed}
        until ls $UNDERSTUDY_BUCKET/output/comparisons/flights.csv@*.json 2>/dev/null; do sleep 0.1; done
        .venv/bin/python -m publisher status
        {block_with("README.md", "--html report.html")}
        {chr(10).join(asked).replace("--staging 3", "--staging 2")}
        """
    )

    assert "1 scored" in told
    assert told.count("airline-satisfaction version 2 (staging) against airline-satisfaction version 1") >= 4
    assert (data / "surveys" / "output" / "pred_flights.csv").read_text().count("\n") == 301
    assert (reader.folder / "report.html").exists()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_your_own_model(tmp_path: Path) -> None:
    reader = Reader(tmp_path / "understudy", {"UNDERSTUDY_UNTIL_IDLE": "1"})
    (reader.folder / "notebook.py").write_text(BEFORE + LOGGED)
    (reader.folder / "own.py").write_text(BEFORE + block_with("README.md", "register_sklearn("))
    reader.types("python notebook.py")
    adopted = reader.types(block_with("README.md", "models adopt "))
    assert "churn version 2 answers as models:/churn/1 on 40 rows" in adopted
    reader.types("python own.py")
    uri = f"sqlite:///{reader.folder / 'mlflow.db'}"
    # "A graph from elsewhere": here that of the version just registered
    shutil.copy(Registry(uri, "churn").fetch("3", tmp_path / "fetched").graph, reader.folder / "churn.onnx")
    register, promote, work = block_with("README.md", "models register ").splitlines()
    bucket = reader.folder / "bucket"
    bucket.mkdir()
    (bucket / "customers.csv").write_text("customer,plan,months\nAda,basic,3\nBob,full,30\n")

    registered = reader.types(register)
    promoted = reader.types(promote)
    reader.types(f"python -m publisher --once && {work}")

    assert registered.startswith("churn version 4")
    assert "production" in promoted
    rows = (bucket / "output" / "pred_customers.csv").read_text().splitlines()
    assert [row.split(",")[:3] for row in rows[1:]] == [["1", "Ada", "yes"], ["2", "Bob", "no"]]
    assert "first version" in reader.types(
        shlex.join([".venv/bin/python", "-m", "models", "history", "--model", "churn"])
    )
