"""`make measure`: each measurement notes its figures; at the end comes one table, and exit 1 where one falls short."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import starter
from tests.chaos.conftest import running as running
from tests.measure.figures import Figure, Figures, table

NOTED = pytest.StashKey[list[Figure]]()


@pytest.fixture(autouse=True)
def programs_as_they_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is measured has imported its libraries itself."""
    monkeypatch.setattr(starter, "always_by_exec", True)


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Iterator[Figures]:
    """Where a measurement notes what it sees. One that falls short fails it in the end, when all have been noted."""
    figures = Figures(request.node.name.removeprefix("test_").replace("_", " "))
    yield figures
    request.config.stash.setdefault(NOTED, []).extend(figures.noted)
    short = [figure.what for figure in figures.noted if not figure.holds]
    if short:
        pytest.fail(f"short of its bound: {', '.join(short)}", pytrace=False)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    noted = config.stash.get(NOTED, [])
    if noted:
        terminalreporter.section("figures")
        terminalreporter.write_line(table(noted))
