"""Several challengers in `compare`, `promote` and `watch`: side by side, with one error shared among all of them."""

from __future__ import annotations

import json
from math import exp, log
from pathlib import Path

import pytest

from edge.command import main
from models.commands import aliases as moving
from models.commands import compare
from models.evidence.judging.watcher import Watcher
from models.evidence.pages.registry_page import RegistryPage
from models.registry.client import Registry
from tests.unit.compared import add_file, spec
from tests.unit.registered import MODEL, registered
from transport.buckets.folder.bucket import FolderBucket

COMMANDS = {**compare.COMMANDS, **moving.COMMANDS}
BETTER = {"2": 0.0, "3": 0.35, "4": -0.6}


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """Production 1, and versions 2 to 4 as staging, staging-2 and staging-3."""
    return registered(tmp_path, {"production": "1", "staging": "2", "staging-2": "3", "staging-3": "4"}, versions=4)


@pytest.fixture
def bucket(tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> FolderBucket:
    """Six files, each compared with every challenger; version 3 is better and 4 is worse."""
    bucket = FolderBucket(str(tmp_path / "bucket"))
    for number in range(6):
        for alias, version in (("staging", "2"), ("staging-2", "3"), ("staging-3", "4")):
            place = {} if alias == "staging" else {"alias": alias}
            add_file(bucket, number, versions=(spec("1"), spec(version)), better=BETTER[version], **place)
    monkeypatch.setenv("UNDERSTUDY_BUCKET", bucket.url)
    monkeypatch.setenv("UNDERSTUDY_MODEL", MODEL)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry.tracking_uri)
    monkeypatch.setenv("COLUMNS", "200")
    return bucket


def compared(capsys: pytest.CaptureFixture[str], *options: str) -> dict:
    capsys.readouterr()
    assert main("models", "", COMMANDS, arguments=["compare", "--json", *options]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.usefixtures("bucket")
def test_all_challengers_stand_side_by_side_and_share_the_error(capsys: pytest.CaptureFixture[str]) -> None:
    found = compared(capsys, "--guard", "recall:satisfied:-50")

    assert found["staging"]["version"] == "2"
    assert found["evidence"]["error"] == pytest.approx(0.05 / (3 * 2))
    assert found["evidence"]["threshold"] == pytest.approx(log(2 / (0.05 / 6)))
    assert [(each["alias"], each["version"], each["rows"]) for each in found["challengers"]] == [
        ("staging", "2", 2400),
        ("staging-2", "3", 2400),
        ("staging-3", "4", 2400),
    ]
    assert found["challengers"][1]["verdict"] == "staging is better"
    assert found["challengers"][2]["verdict"] == "production is better"
    assert found["challengers"][1]["low"] > 0 > found["challengers"][2]["high"]


@pytest.mark.usefixtures("bucket")
def test_a_version_that_is_asked_for_shares_the_error_as_well_and_is_shown_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = compared(capsys, "--production", "1", "--staging", "3")

    assert found["evidence"]["error"] == pytest.approx(0.05 / 3)
    assert found["challengers"] == []


def test_one_challenger_alone_has_the_whole_error(
    bucket: FolderBucket, registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bucket.url
    for alias in ("staging-2", "staging-3"):
        registry.client.delete_registered_model_alias(MODEL, alias)

    found = compared(capsys)

    assert (found["evidence"]["error"], found["challengers"]) == (0.05, [])


@pytest.mark.usefixtures("bucket")
def test_the_terminal_and_the_page_have_one_table_and_one_picture_of_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "report.html"
    assert main("models", "", COMMANDS, arguments=["compare", "--html", str(page)]) == 0

    shown = capsys.readouterr().out
    for text in (shown, page.read_text()):
        assert "3 challengers share the error of 5 %: for each 1.67 %, so that ×120 decides" in text
        assert all(text.count(alias) for alias in ("staging-2", "staging-3"))
    assert page.read_text().count('id="challengers"') == 1
    assert "staging-2, version 3: " in page.read_text()


@pytest.mark.usefixtures("bucket")
def test_a_promotion_takes_what_the_shared_error_takes(
    registry: Registry, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # given evidence that is enough for one challenger alone, and not for one of three
    looks = compared(capsys, "--production", "1", "--staging", "3")["evidence"]["looks"]
    best = max(look["log_e_staging"] for look in looks)
    monkeypatch.setattr("models.evidence.figures.sequence.ERROR", 2 / (1 + exp(best) / 2))
    promote = ["promote", "staging-2", "--if-better"]

    assert main("models", "", COMMANDS, arguments=promote) == 3
    assert "it takes the verdict 'staging is better'" in capsys.readouterr().err

    for alias in ("staging", "staging-3"):
        registry.client.delete_registered_model_alias(MODEL, alias)
    assert main("models", "", COMMANDS, arguments=promote) == 0
    assert registry.aliases()["production"] == "3"


def test_the_watch_reaches_every_verdict_again_where_a_challenger_comes_or_goes(
    bucket: FolderBucket, registry: Registry
) -> None:
    watching = Watcher(bucket, registry, RegistryPage(registry))
    errors: list[float] = []
    keep = watching._page.keep_run

    def note(summary, files):
        errors.append(summary.evidence.error)
        return keep(summary, files)

    watching._page.keep_run = note  # type: ignore[method-assign]
    assert watching.look()
    assert errors == [pytest.approx(0.05 / 3)] * 3

    errors.clear()
    assert watching.look()
    assert errors == []

    registry.client.delete_registered_model_alias(MODEL, "staging-3")
    assert watching.look()
    assert errors == [pytest.approx(0.05 / 2)] * 2 + [0.05]
