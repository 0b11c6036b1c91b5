"""Real workers score files with two real models; what `compare` says of them is what their outputs say."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score, brier_score_loss, cohen_kappa_score, log_loss, roc_auc_score

from deploy.waiting import wait_for
from models.registry.aliases import Aliases
from models.registry.client import Registry
from tests.chaos.understudy import MODEL, Running, csv_of, surveys
from transport.bucket import put

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

POSITIVE = "satisfied"
FIGURES = ("files", "rows", "agreement", "kappa", "measures", "mcnemar", "paired", "confusion", "slices", "drift")


def finish(running: Running, *arguments: str, status: int = 0) -> str:
    """Runs a command of `python -m models` or another program to its end; gives what it printed."""
    program = running.start(*arguments)
    assert program.status() == status, program.log.read_text()
    return program.log.read_text()


def compare(running: Running, *options: str) -> dict[str, Any]:
    """The JSON of `compare`; the log is both streams, and the JSON is on one of them."""
    text = finish(running, "models compare", "--json", *options)
    found: dict[str, Any] = json.loads(text[text.index("{") : text.rindex("}") + 1])
    return found


def score_all(*places: Running, before: str = "") -> None:
    """Until nothing is left anywhere: receipts, and comparisons. `before`: what is to be run once there is a worker."""
    workers = [running.worker() for running in places]  # all at once: each takes its time to start
    for running, worker in zip(places, workers, strict=True):
        # It starts without a staging version, or with others than the registry's, where those are slow to come.
        for alias, version in Registry(running.registry, MODEL).aliases().items():
            worker.wait_for_log("version in force", alias=alias, version=version)
        for command in filter(None, (before, "publisher --once --settle 0")):
            finish(running, command)
    for running, worker in zip(places, workers, strict=True):
        wait_for(lambda: running.backlog() == 0, "an empty queue")  # noqa: B023
        assert worker.end() == 0, worker.log.read_text()


def told_by_outputs(running: Running, names: list[str]) -> pd.DataFrame:
    """Per row the label and both models' answers, from the files as a person would read them."""
    parts = []
    for name in names:
        label = pd.read_csv(running.root / name)["satisfaction"]
        sides = [pd.read_csv(running.root / "output" / place / f"pred_{name}") for place in ("", "shadow")]
        parts.append(
            pd.DataFrame(
                {
                    "truth": label,
                    **{f"label_{at}": side["prediction"] for at, side in enumerate(sides)},
                    **{f"chance_{at}": side["probability"] for at, side in enumerate(sides)},
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def check_figures(summary: dict[str, Any], rows: pd.DataFrame) -> None:
    true = (rows.truth == POSITIVE).to_numpy()
    for at, side in enumerate(("production", "staging")):
        measured = {name: both[side]["value"] for name, both in summary["measures"].items()}
        chance = rows[f"chance_{at}"].to_numpy()
        assert measured["accuracy"] == pytest.approx(accuracy_score(rows.truth, rows[f"label_{at}"]), abs=1e-12)
        # outputs hold float32, of which the record of staging's knows more digits
        assert measured["log_loss"] == pytest.approx(log_loss(true, chance), abs=1e-6)
        assert measured["brier"] == pytest.approx(brier_score_loss(true, chance), abs=1e-7)
        assert measured["auc"] == pytest.approx(roc_auc_score(true, chance), abs=1e-3)
    right = [(rows[f"label_{at}"] == rows.truth).to_numpy() for at in range(2)]
    won, lost = int((right[1] & ~right[0]).sum()), int((right[0] & ~right[1]).sum())
    assert (summary["paired"]["only_staging_right"], summary["paired"]["only_production_right"]) == (won, lost)
    assert summary["mcnemar"] == pytest.approx(binomtest(won, won + lost).pvalue, abs=1e-12)
    assert summary["kappa"] == pytest.approx(cohen_kappa_score(rows.label_0, rows.label_1), abs=1e-12)
    assert summary["agreement"]["value"] == pytest.approx((rows.label_0 == rows.label_1).mean(), abs=1e-12)
    last = summary["evidence"]["looks"][-1]
    assert last["rows"] == len(rows)
    assert last["difference"] == pytest.approx((won - lost) / len(rows), abs=1e-12)
    assert last["low"] <= last["difference"] <= last["high"]


def test_the_figures_of_two_pairs_are_those_of_their_outputs(running: Running) -> None:
    # given files with labels, scored by the forest with boosting in its shadow
    files = surveys(20, 150)
    for name, content in files.items():
        running.drop(name, content)
    score_all(running)
    page = running.folder / "report.html"
    first = compare(running, "--html", str(page))
    assert (first["production"]["version"], first["staging"]["version"], first["files"]) == ("1", "2", 20)
    assert first["rows"]["labelled"] == 3_000
    check_figures(first, told_by_outputs(running, list(files)))
    text = page.read_text()
    assert first["evidence"]["sentence"].partition(".")[0] in text
    assert "<script" not in text
    assert "http://" not in text.replace("http://www.w3.org/", "")
    # when the two change places and every file is scored again
    Aliases(Registry(running.registry, MODEL), "tests").swap("the other pair", pd.Timestamp.now("UTC").to_pydatetime())
    score_all(running, before="publisher rescore --all")
    second = compare(running)
    assert (second["production"]["version"], second["staging"]["version"], second["files"]) == ("2", "1", 20)
    check_figures(second, told_by_outputs(running, list(files)))
    # then the first pair's evidence is what it was
    assert compare(running, "--production", "1", "--staging", "2")["measures"] == first["measures"]


def test_labels_a_day_later_give_the_verdict_of_labels_in_the_file(running: Running, tmp_path_factory: Any) -> None:
    files = surveys(12, 80, seed=11)
    # given the same rows with their labels in the file, and without
    for name, content in files.items():
        running.drop(name, content)
    folder = tmp_path_factory.mktemp("later")
    labels = []
    with Running(folder, running.registry, folder / "cache") as later:
        for name, content in files.items():
            table = pd.read_csv(io.BytesIO(content))
            labels.append(table[["id", "satisfaction"]])
            later.drop(name, csv_of(table.drop(columns="satisfaction")))
        score_all(running, later)
        assert compare(later)["evidence"]["sentence"] == "Not yet: no labelled rows so far."
        receipts = later.count_receipts()
        # when the labels come, in an order of their own
        arrived = pd.concat(labels).sample(frac=1.0, random_state=1)
        put(later.bucket, "labels/day two.csv", csv_of(arrived))
        score_all(later)
        at_once, joined = compare(running), compare(later)
        assert later.count_receipts() == receipts
    assert joined["evidence"]["verdict"] == at_once["evidence"]["verdict"]
    assert joined["evidence"]["sentence"] == at_once["evidence"]["sentence"]
    assert {name: joined[name] for name in FIGURES} == {name: at_once[name] for name in FIGURES}
    for look, same in zip(joined["evidence"]["looks"], at_once["evidence"]["looks"], strict=True):
        assert {**look, "event_time": None} == {**same, "event_time": None}
    assert any("960 of 960 rows have a label" in note for note in joined["notes"])


def test_promotion_is_refused_then_allowed(running: Running) -> None:
    # given labels that are what boosting says: production is wrong wherever the two differ
    for name, content in surveys(6, 200, seed=3).items():
        running.drop(name, csv_of(pd.read_csv(io.BytesIO(content)).drop(columns="satisfaction")))
    score_all(running)
    assert "no labelled rows so far" in finish(running, "models promote", "staging", "--if-better", status=3)
    shadows = [pd.read_csv(file) for file in sorted((running.root / "output" / "shadow").glob("pred_*.csv"))]
    production = [pd.read_csv(running.root / "output" / f"pred_part {at:03}.csv") for at in range(6)]
    differ = sum(int(np.sum(a.prediction != b.prediction)) for a, b in zip(shadows, production, strict=True))
    assert differ > 20
    answers = pd.concat(shadows).rename(columns={"prediction": "satisfaction"})[["id", "satisfaction"]]
    put(running.bucket, "labels/answers.csv", csv_of(answers))
    # when it is asked for again
    finish(running, "models promote", "staging", "--if-better", "--who", "ada", "--why", "spring")
    assert Registry(running.registry, MODEL).resolve("production") == "2"
    last = [made for made in Aliases(Registry(running.registry, MODEL), "").history() if made.alias == "production"][-1]
    assert (last.who, last.came_from, last.to) == ("ada", "1", "2")
    assert last.why.startswith(f"spring; Staging is better. Over {len(answers):,} labelled rows")
