"""`promote --if-better` and `--no-worse`: the alias moves only where the evidence says so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.command import main
from models.commands.aliases import COMMANDS
from models.evidence.judging.question import missing_for_promotion
from models.registry.client import Registry
from tests.unit.compared import add_file, labels_of
from tests.unit.registered import MODEL, registered
from transport.bucket import put
from transport.buckets.folder.bucket import FolderBucket

Run = Callable[..., int]


@pytest.fixture
def bucket(tmp_path: Path) -> FolderBucket:
    return FolderBucket(str(tmp_path / "bucket"))


@pytest.fixture
def uri(tmp_path: Path) -> str:
    """Versions 1 (production), 2 (staging) and 3."""
    return registered(tmp_path, {"production": "1", "staging": "2"}).tracking_uri


@pytest.fixture
def run(bucket: FolderBucket, uri: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("UNDERSTUDY_BUCKET", bucket.url)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)

    def command(*arguments: str) -> int:
        return main("models", "", COMMANDS, arguments=arguments)

    return command


def production(uri: str) -> str | None:
    return Registry(uri, MODEL).resolve("production")


def test_a_version_that_is_better_is_promoted_and_the_history_says_why(
    bucket: FolderBucket, run: Run, uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(6):
        add_file(bucket, number, better=0.6)
    assert run("promote", "staging", "--if-better", "--who", "ada", "--why", "spring model") == 0
    assert production(uri) == "2"
    assert run("history", "--json") == 0
    moves = json.loads(capsys.readouterr().out.partition("\n")[2])
    last = [made for made in moves if made["alias"] == "production"][-1]
    assert (last["by"], last["from"], last["to"]) == ("ada", "1", "2")
    assert last["when"].startswith("20")
    assert last["why"].startswith("spring model; Staging is better. Over 2,400 labelled rows")
    assert last["why"].endswith("(6 files, against version 1)")
    assert run("rollback") == 0
    assert production(uri) == "1"


def test_without_enough_evidence_it_is_refused_with_what_is_missing(
    bucket: FolderBucket, run: Run, uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    # given no comparison at all, then one that says nothing yet, then one for production
    assert run("promote", "2", "--if-better") == 3
    assert "not promoted: no comparisons of airline-satisfaction, production version 1" in capsys.readouterr().err
    add_file(bucket, 0, rows=60, better=0.3)
    assert run("promote", "2", "--if-better") == 3
    told = capsys.readouterr().err
    assert "version 2 is not promoted: it takes the verdict 'staging is better'" in told
    assert "more labelled rows at this rate" in told
    for number in range(1, 7):
        add_file(bucket, number, better=-0.6)
    for condition in ("--if-better", "--no-worse"):
        assert run("promote", "2", condition) == 3
        assert "Production is better." in capsys.readouterr().err
    # and evidence about another version says nothing of this one
    assert run("promote", "3", "--if-better") == 3
    assert production(uri) == "1"
    assert run("promote", "2") == 0


def test_no_worse_takes_no_difference_and_less_cost(bucket: FolderBucket, run: Run, uri: str) -> None:
    for number in range(8):
        add_file(bucket, number, rows=1_000)
    assert run("promote", "2", "--if-better") == 3
    assert run("promote", "2", "--no-worse") == 0
    assert production(uri) == "2"


def test_no_difference_at_more_cost_is_no_reason(bucket: FolderBucket) -> None:
    from models.evidence.judging.question import Question, ask

    for number in range(8):
        add_file(bucket, number, rows=1_000)
    found, pair, _ = ask(bucket.url, Question(MODEL, "1", "2"))
    sums = found.pairs[pair].sums
    sums["seconds.production"], sums["seconds.staging"] = sums["seconds.staging"], sums["seconds.production"]
    summary = found.summary(pair)
    assert missing_for_promotion(summary, no_worse=True) == "it takes less time per row than production's"


def test_labels_that_came_later_count(bucket: FolderBucket, run: Run, uri: str) -> None:
    for number in range(6):
        add_file(bucket, number, better=0.6, labelled=False)
    assert run("promote", "2", "--if-better") == 3
    put(bucket, "labels/all.csv", labels_of(range(6)))
    assert run("promote", "2", "--if-better") == 0
    assert production(uri) == "2"


def test_nothing_is_promoted_over_nothing_or_itself(
    bucket: FolderBucket, run: Run, uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("promote", "1", "--if-better") == 1
    assert "version 1 is production already" in capsys.readouterr().err
    Registry(uri, MODEL).client.delete_registered_model_alias(MODEL, "production")
    assert run("promote", "2", "--if-better") == 3
    assert "promote without a condition" in capsys.readouterr().err


def test_a_production_that_moved_meanwhile_is_not_overrun(
    bucket: FolderBucket, run: Run, uri: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from models.commands.aliases import Promote

    for number in range(6):
        add_file(bucket, number, better=0.6)
    others = Registry(uri, MODEL).client
    # while the version is tried out, after the evidence was seen
    moved = lambda *_: others.set_registered_model_alias(MODEL, "production", "3")  # noqa: E731
    monkeypatch.setattr(Promote, "refuse_unfit", moved)
    assert run("promote", "2", "--if-better") == 1
    assert "moved by somebody else meanwhile" in capsys.readouterr().err
    assert production(uri) == "3"
