"""An alias moved while files run, in the registry's own page too: every worker follows, no file fails or is mixed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.waiting import wait_for
from ledger.receipt import Status
from models.registry.client import PRODUCTION
from tests.browser import Browser
from tests.chaos.understudy import Program, Running, undisturbed
from tests.emulators import missing
from tests.hotswap.load import Load, survey
from tests.hotswap.registries import ServedRegistry, version_files
from tests.unit.registered import MODEL

ROWS = 1_000

Move = Callable[[ServedRegistry, str], None]
"""Points production at a version."""


def by_the_client(served: ServedRegistry, version: str) -> None:
    served.move(PRODUCTION, version)


@pytest.fixture
def by_a_click(tmp_path: Path) -> Iterator[Move]:
    if Browser.program() is None:
        missing("no Chromium here: install Debian's package `chromium`")
    folder = tmp_path / "browser"
    folder.mkdir()
    with Browser(folder) as browser:

        def move(served: ServedRegistry, version: str) -> None:
            browser.open(f"{served.uri}/#/models/{MODEL}/versions/{version}")
            browser.click("document.querySelector('[title=\"Add aliases\"]')")
            browser.click("document.querySelector('[role=dialog] input')")
            browser.type(PRODUCTION)
            browser.press("Enter", 13)
            browser.click(
                "[...document.querySelectorAll('[role=dialog] button')].find(e => e.innerText == 'Save aliases')"
            )
            wait_for(lambda: served.aliases().get(PRODUCTION) == version, "the alias moved by the click")

        yield move


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("mover", ["by the client", "by a click"])
def test_two_workers_follow_a_moved_alias_and_its_rollback_without_losing_a_file(
    following: Callable[[str], Running], served: ServedRegistry, request: pytest.FixtureRequest, mover: str
) -> None:
    # given two workers at work
    move: Move = request.getfixturevalue("by_a_click") if mover == "by a click" else by_the_client
    first, second = (served.register(version_files(weight)) for weight in (1.0, 2.0))
    served.move(PRODUCTION, first)
    running = following(served.uri)
    publisher = running.publisher()
    workers = [running.worker() for _ in range(2)]
    running.ready(*workers)
    with Load(running, rows=ROWS, ahead=10) as load:
        wait_for(lambda: running.count_receipts() >= 20, "files under way")

        # when the alias moves, and moves back
        move(served, second)
        wait_until_all_follow(workers, second)
        wait_for(lambda: running.count_receipts() >= 150, "files of the new version")
        move(served, first)
        wait_until_all_follow(workers, first)
        wait_for(lambda: load.dropped >= 300, "300 files")
        count = load.stop()
    running.wait_until_done(count)

    # then nothing fails, and each file is the whole work of one version
    assert [worker.end() for worker in workers] == [0, 0]
    assert publisher.end() == 0
    receipts = running.receipts()
    assert {receipt.status for receipt in receipts} == {Status.SCORED}
    assert len(receipts) == count >= 300
    assert not any(worker.records("attempt failed") for worker in workers)
    content, cache = survey(ROWS), running.folder / "cache"
    right = {v: undisturbed(served.uri, cache, v, {"x": content})["x"] for v in (first, second)}
    assert right[first] != right[second]
    for receipt in receipts:
        assert receipt.model is not None
        assert running.output(receipt.source.name) == right[receipt.model.version], receipt.source.name
    assert {receipt.model.version for receipt in receipts if receipt.model} == {first, second}


def wait_until_all_follow(workers: list[Program], version: str) -> None:
    """Until the last of the workers has the version in force."""

    def all_follow() -> bool:
        return all(worker.records("version in force")[-1]["version"] == version for worker in workers)

    wait_for(all_follow, f"version {version} in force")
