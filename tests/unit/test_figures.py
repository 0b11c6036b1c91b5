"""The figures of `make measure`: which keep their bounds, the table, and an exit status that tells."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest

from tests.measure.figures import Figure, table

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("figure", "holds"),
    [
        (Figure("gap", 1.0, at_most=2.0), True),
        (Figure("gap", 2.5, at_most=2.0), False),
        (Figure("rate", 0.71, at_least=0.7), True),
        (Figure("rate", 0.69, at_least=0.7), False),
        (Figure("rate", math.nan, at_least=0.7), False),
        (Figure("only told", 5.0), True),
    ],
)
def test_a_figure_keeps_its_bound_or_falls_short(figure: Figure, holds: bool) -> None:
    assert figure.holds is holds


def test_the_table_has_each_figure_beside_its_bound() -> None:
    told = table([Figure("gap", 2.5, at_most=2.0, unit="s"), Figure("files", 50_000.0)]).splitlines()

    assert [line.split() for line in told[2:]] == [
        ["gap", "2.5", "s", "at", "most", "2", "s", "FALLS", "SHORT"],
        ["files", "50,000"],
    ]


@pytest.mark.parametrize(("value", "status"), [(1.0, 0), (3.0, 1)])
def test_a_figure_that_falls_short_ends_the_run_with_1_and_stands_in_the_table(
    tmp_path: Path, value: float, status: int
) -> None:
    (tmp_path / "conftest.py").write_text(
        "from tests.measure.conftest import figures, pytest_terminal_summary\n"
        "__all__ = ['figures', 'pytest_terminal_summary']\n"
    )
    (tmp_path / "measure_it.py").write_text(
        f"def test_a_gap(figures):\n    figures.note('longest', {value}, 's', at_most=2.0)\n"
    )

    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "--rootdir",
            tmp_path,
            tmp_path / "measure_it.py",
        ],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == status, done.stdout + done.stderr
    assert f"a gap: longest {value:.3g} s at most 2 s {'holds' if status == 0 else 'FALLS SHORT'}" in " ".join(
        done.stdout.split()
    )
