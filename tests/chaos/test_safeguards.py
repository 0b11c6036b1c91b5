"""Each invariant of docs/design.md has a test that fails when its safeguard is taken out.

The sources are copied, one safeguard is taken out of the copy, and the tests named beside it are run there: every one
of them has to fail. `make test-all` says so for all of them, with SINCE="2 days ago" for those whose file changed in
the commits since then, as far as these are quick. The quick tests run always.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.chaos.safeguards import SAFEGUARDS, Safeguard

ROOT = Path(__file__).parents[2]
ROOMS = ("transport", "ledger", "edge", "publisher", "worker", "models", "tests", "deploy")


pytestmark = pytest.mark.timeout(1200)


def committed_to(root: Path, since: str) -> set[str] | None:
    """The files that commits since then have touched; None, for all, without a `since` or outside a git checkout."""
    if not since or not (root / ".git").exists():
        return None
    command = ["git", "log", f"--since={since}", "--name-only", "--format="]
    return set(subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.split("\n")) - {""}


def chosen(safeguards: Sequence[Safeguard], touched: set[str] | None) -> list[Safeguard]:
    """Those of them whose file was touched; all where nobody knows which were."""
    return [one for one in safeguards if touched is None or one.file in touched]


CHOSEN = chosen(SAFEGUARDS, committed_to(ROOT, os.environ.get("SAFEGUARDS_SINCE", "")))


@pytest.fixture
def copy(tmp_path: Path, tiny_registry: str) -> Path:
    """The sources, in a folder of the test's own, where the tiny registry is the one that stands already."""
    folder = tmp_path / "copy"
    for room in ROOMS:
        shutil.copytree(ROOT / room, folder / room, ignore=shutil.ignore_patterns("*.pyc.*"))  # those come and go
    shutil.copy(ROOT / "pyproject.toml", folder)
    registry = folder / "tests" / "registry.py"
    made = 'database(made_once(tmp_path_factory, "tiny_registry", make_tiny_registry))'
    assert registry.read_text().count(made) == 1
    registry.write_text(registry.read_text().replace(made, repr(tiny_registry)))
    return folder


def run(copy: Path, tests: tuple[str, ...]) -> tuple[int, list[str], str]:
    """Runs tests of the copy: exit status, the ids of those that failed, and all that was said."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rf", "--tb=short", "-p", "no:cacheprovider", *tests],
        cwd=copy,
        env={"PATH": "/usr/bin:/bin", "HOME": str(copy), "PYTHONPATH": str(copy)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    failed = [match[1] for line in done.stdout.splitlines() if (match := re.match(r"FAILED (.+?)(?: - .*)?$", line))]
    return done.returncode, failed, done.stdout


def test_every_invariant_has_a_safeguard_whose_lines_are_there() -> None:
    assert {safeguard.invariant for safeguard in SAFEGUARDS} == set(range(1, 16))
    for safeguard in SAFEGUARDS:
        assert (ROOT / safeguard.file).read_text().count(safeguard.lines) == 1, f"mend this table: {safeguard}"


def test_a_safeguard_is_chosen_when_its_file_was_committed_to(tmp_path: Path) -> None:
    def commit(name: str, when: str) -> None:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
        git("add", name)
        git("commit", "-q", "-m", name, GIT_COMMITTER_DATE=when)

    def git(*arguments: str, **environment: str) -> None:
        settings = ["-c", "user.name=x", "-c", "user.email=x@example.com", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *settings, *arguments], cwd=tmp_path, env={**os.environ, **environment}, check=True)

    # given a commit of long ago to one file, and one of today to another
    git("init", "-q")
    commit("ledger/commit.py", when="2020-01-01T12:00:00Z")
    commit("models/scoring/table/read.py", when=datetime.now(UTC).isoformat())

    # then only what the second touches is chosen; without a time, or without git, everything
    recent = chosen(SAFEGUARDS, committed_to(tmp_path, "2 days ago"))
    assert recent == [one for one in SAFEGUARDS if one.file == "models/scoring/table/read.py"]
    assert recent
    assert chosen(SAFEGUARDS, committed_to(tmp_path, "")) == list(SAFEGUARDS)
    assert chosen(SAFEGUARDS, committed_to(tmp_path / "ledger", "2 days ago")) == list(SAFEGUARDS)


@pytest.mark.safeguard
@pytest.mark.nightly  # those who run but a few have just run these tests themselves
def test_these_tests_pass_in_a_copy_with_every_safeguard_in_place(copy: Path) -> None:
    tests = dict.fromkeys(test for safeguard in CHOSEN for test in safeguard.tests)
    if not tests:
        pytest.skip("no file of a safeguard was committed to")

    status, failed, said = run(copy, ("-m", "not slow", *tests))  # the slow ones show nothing more of the copy

    assert (status, failed) == (0, []), said[-5000:]


@pytest.mark.safeguard
@pytest.mark.parametrize(
    "safeguard",
    [pytest.param(one, marks=pytest.mark.nightly) if one.nightly else one for one in CHOSEN],
    ids=lambda one: str(one),
)
def test_without_its_safeguard_an_invariant_is_seen_to_break(safeguard: Safeguard, copy: Path) -> None:
    # given the sources without one safeguard
    file = copy / safeguard.file
    source = file.read_text()
    assert source.count(safeguard.lines) == 1, f"the lines of this safeguard have changed: mend this table: {safeguard}"
    file.write_text(source.replace(safeguard.lines, safeguard.without))

    # when the tests that stand for it run there
    first = ("-x",) if len(safeguard.tests) == 1 else ()  # of a parametrised test one case is enough
    status, failed, said = run(copy, (*first, *safeguard.tests))

    # then each of them fails (of a parametrised test at least one case), and none for want of being run at all
    assert status == 1, said[-5000:]
    for test in safeguard.tests:
        assert any(name == test or name.startswith((f"{test}[", f"{test}::")) for name in failed), said[-5000:]
    print(f"{safeguard}\n{safeguard.file}: failed as it should: {failed}")
