"""The bench of scoring: what it says of turns, and that peers read the same models as this project trains."""

from __future__ import annotations

import io
import json
import os
import sys
import time
from pathlib import Path

import pytest

from benchmarks.scoring import growth
from benchmarks.scoring.figures import Size, Turn, Turns
from benchmarks.scoring.turns import DONE, take_turns
from benchmarks.scoring.usage import peak_megabytes, processor_seconds
from tests.pages import ROOT


def turns(*each: tuple[float, float], peak: float = 100.0) -> Turns:
    return Turns([Turn(*one) for one in each], peak)


SIZE = Size(
    1_000,
    10,
    {
        "worker": turns((2.0, 1.0), (4.0, 2.0), (3.0, 9.0), peak=812.4),
        "naive": turns((8.0, 5.0), (8.0, 5.0), (9.0, 9.0)),
    },
)


def test_a_line_of_json_has_medians_per_contestant():
    assert json.loads(SIZE.to_json()) == {
        "rows": 1_000,
        "contestants": {
            "worker": {"rows_per_s": 3_333, "cpu_rows_per_s": 5_000, "cpu_ms_per_file": 200.0, "peak_mb": 812},
            "naive": {"rows_per_s": 1_250, "cpu_rows_per_s": 2_000, "cpu_ms_per_file": 500.0, "peak_mb": 100},
        },
    }


def test_the_table_compares_turn_by_turn():
    table = SIZE.table()

    # 8/2, 8/4, 9/3 on the wall; 5/1, 5/2, 9/9 by processor time
    assert [list(column.cells)[1] for column in table.columns][-2:] == ["3.00", "2.50"]
    assert [next(iter(column.cells)) for column in table.columns][-2:] == ["", ""]


def test_each_line_is_a_turn_and_gets_one_answer(monkeypatch):
    lines = [json.dumps([["a.csv", "b.csv"], "out"]), json.dumps([["c.csv"], "out"])]
    answers = io.BytesIO()
    output = io.TextIOWrapper(answers)  # kept: it closes what it wraps when it goes
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(lines) + "\n"))
    monkeypatch.setattr(sys, "stdout", output)
    told = []

    take_turns(lambda paths, folder: (told.append((paths, folder)), print("a library says something"))[0])

    assert told == [(["a.csv", "b.csv"], "out"), (["c.csv"], "out")]
    assert answers.getvalue() == 2 * DONE


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="it reads /proc, which only Linux has")
def test_what_a_process_has_used_grows():
    before = processor_seconds(os.getpid())
    deadline = time.monotonic() + 60
    while processor_seconds(os.getpid()) <= before and time.monotonic() < deadline:
        sum(range(10_000))
    assert processor_seconds(os.getpid()) > before
    assert peak_megabytes(os.getpid()) > 10


@pytest.mark.parametrize("name", ["scikit-learn", "keras", "tensorflow-cpu"])
def test_the_peers_have_the_libraries_that_the_models_are_kept_by(name):
    def pinned(lock: str) -> str:
        lines = (ROOT / "requirements" / lock).read_text().splitlines()
        [line] = [line for line in lines if line.startswith(f"{name}==")]
        return line

    assert pinned("peers.txt") == pinned("dev.txt")


def test_each_line_of_growth_changes_one_thing_of_the_usual_case():
    (first, usual), *others = growth.cases()

    assert first == "usual"
    for what, case in others:
        [changed] = [name for name in vars(usual) if getattr(case, name) != getattr(usual, name)]
        assert what == f"{changed} {getattr(case, changed):,}"
    assert {what.split()[0] for what, _ in others} == set(vars(usual))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.slow
def test_growth_measures_every_step_of_a_case(monkeypatch, capsys):
    small = growth.Case(rows=300, columns=4, distinct=5, trees=3)
    monkeypatch.setattr(growth, "cases", lambda: iter([("small", small)]))

    assert growth.Growth(rounds=1).run() == 0

    [line] = [line for line in capsys.readouterr().out.splitlines() if "small" in line]
    steps = [float(cell) for cell in line.split("|")[2:6]]
    assert steps[0] > 0
    assert steps[1] > 0
    made = small.table(300, 2)
    assert list(made.columns) == ["id", "c0", "c1", "c2", "c3"]
    assert all(made[name].nunique() <= 5 for name in made.columns[1:])
