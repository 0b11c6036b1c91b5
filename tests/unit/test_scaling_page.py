"""docs/scaling.md says what the simulation says, and its sums are right."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.fleet import FleetBench
from edge.command import main, variable

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "scaling.md").read_text(encoding="utf-8")
COMMAND = "    .venv/bin/python -m benchmarks.fleet "
LARGE = 2e6  # files in all; beyond it a simulation takes some seconds
HUGE = 1e7  # beyond it half a minute


def tables() -> dict[str, list[str]]:
    """The options of each command on the page, and the lines of the table below it."""
    found: dict[str, list[str]] = {}
    for part in re.sub(r" \\\n +", " ", PAGE).split(COMMAND)[1:]:
        options, _, rest = part.partition("\n")
        lines = rest.lstrip("\n").split("\n")
        end = next((number for number, line in enumerate(lines) if not line.startswith("|")), len(lines))
        found[options] = lines[:end]
    return found


def marked(options: str) -> object:
    lists = {name: numbers.split(",") for name, numbers in re.findall(r"--([a-z-]+) ([\d.,e]+)", options)}
    lines = len(lists.get("assignment", "1")) * len(lists.get("min-vms", "1"))
    files = lines * sum(map(float, lists["files-per-day"]))
    marks = [pytest.mark.slow] * (files > LARGE) + [pytest.mark.nightly] * (files > HUGE)
    return pytest.param(options, marks=marks)


@pytest.fixture(autouse=True)
def without_options_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in FleetBench.model_fields:
        monkeypatch.delenv(variable(name), raising=False)


@pytest.mark.parametrize("options", [marked(options) for options in tables()])
def test_each_table_is_what_its_command_prints(options: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main("benchmarks.fleet", "", {}, default=FleetBench, arguments=options.split()) == 0

    printed = [line.rstrip() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert [line for line in printed if line.startswith("|")] == [line.rstrip() for line in tables()[options]]
    assert [line for line in printed if line[0] != "|" and line.strip() not in PAGE.splitlines()] == []


def sums() -> list[str]:
    """The lines of code blocks that read `numbers = number`, with words among them."""
    lines = [line.strip() for line in PAGE.splitlines() if line.startswith("    ") and " = " in line]
    return [line for line in lines if line[0].isdigit() or line[0] == "("]


OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}


def value(text: str) -> float:
    """What a sum comes to; words and units between its numbers say what these are, and count for nothing."""
    plain = re.sub(r"(?<=\d),(?=\d{3})", "", text)
    plain = plain.replace("×", "*").replace("−", "-").replace("^", "**").replace("%", "/100")
    plain = re.sub(r"[A-Za-zµ$µ'_]+(/[A-Za-z]+)?", " ", plain)

    def of(node: ast.expr) -> float:
        if isinstance(node, ast.BinOp):
            return OPERATORS[type(node.op)](of(node.left), of(node.right))
        assert isinstance(node, ast.Constant), f"not a sum: {text}"
        assert isinstance(node.value, int | float)
        return float(node.value)

    return of(ast.parse(" ".join(plain.split()), mode="eval").body)


@pytest.mark.parametrize("line", sums())
def test_each_sum_comes_to_what_is_said(line: str) -> None:
    left, right = line.split(" = ")
    shown = re.match(r"([\d,]*\d)(\.\d+)?( %)?", right)
    assert shown, f"no number: {right}"
    decimals = len((shown[2] or ".")[1:]) + (2 if shown[3] else 0)

    assert abs(value(left) - value(shown[0])) <= 0.5000001 * 10**-decimals


def test_there_are_tables_and_sums():
    assert len(tables()) >= 3
    assert all(len(lines) >= 3 for lines in tables().values())
    assert len(sums()) >= 10


def test_a_wrong_sum_would_be_noticed():
    assert value("10,000,000 files / 86,400 s") == pytest.approx(115.74, abs=0.01)
    assert value("25 %") == 0.25
    assert value("(1 + 0.7) × 2^3") == pytest.approx(13.6)
    with pytest.raises(AssertionError, match="not a sum"):
        value("open(1)" if False else "[1]")


def test_the_defaults_of_the_simulation_are_those_on_the_page():
    said = dict(re.findall(r"^\| `--([a-z-]+)` \| ([\d.]+)", PAGE, re.MULTILINE))

    fields = {name.replace("_", "-"): field.default for name, field in FleetBench.model_fields.items()}
    assert len(said) >= 10
    assert {name: float(number) for name, number in said.items()} == {name: float(fields[name]) for name in said}


def test_what_a_million_calls_cost_is_what_the_page_on_the_cloud_says():
    price = FleetBench.model_fields["million_calls"].default

    assert f"| **sum** | **{price}** |" in (DOCS / "cloud.md").read_text(encoding="utf-8")
