"""`watch`: the run of each pair and the verdict on the version's page, written when something changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from structlog.testing import capture_logs

from edge.command import main
from ledger.names import VERDICTS, report_name, verdict_name
from ledger.verdict import PostedVerdict
from models.commands.watch import COMMANDS
from models.evidence.judging.watcher import Watcher
from models.evidence.pages.registry_page import BEGIN, END, STAGING_TAG, RegistryPage, with_verdict
from models.registry.client import Registry
from tests.unit.compared import add_file, labels_of, spec
from tests.unit.registered import MODEL, registered
from transport.bucket import AccessRefused, get, put
from transport.buckets.folder.bucket import FolderBucket

EXPERIMENT = f"{MODEL}: staging against production"


@pytest.fixture
def bucket(tmp_path: Path) -> FolderBucket:
    return FolderBucket(str(tmp_path / "bucket"))


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return registered(tmp_path, {}).tracking_uri


def watcher(bucket: FolderBucket, uri: str) -> Watcher:
    """One that was just started."""
    registry = Registry(uri, MODEL)
    return Watcher(bucket, registry, RegistryPage(registry))


class Seen:
    """What the registry holds."""

    def __init__(self, uri: str) -> None:
        self.client = Registry(uri, MODEL).client

    def runs(self) -> dict[str, Any]:
        experiment = self.client.get_experiment_by_name(EXPERIMENT)
        found = self.client.search_runs([experiment.experiment_id])
        return {run.data.tags[STAGING_TAG].split()[0]: run for run in found}

    def series(self, staging: str, metric: str) -> list[tuple[int, float]]:
        history = self.client.get_metric_history(self.runs()[staging].info.run_id, metric)
        return sorted((point.step, point.value) for point in history)

    def artifact(self, staging: str, name: str) -> str:
        run = self.runs()[staging]
        return (Path(run.info.artifact_uri.removeprefix("file://")) / name).read_text()

    def version(self, number: str) -> Any:
        return self.client.get_model_version(MODEL, number)


def test_a_look_keeps_a_run_and_the_verdict_of_each_pair(bucket: FolderBucket, uri: str) -> None:
    seen = Seen(uri)
    seen.client.update_model_version(MODEL, "2", description="Tuned by Ada.")
    for number in range(6):
        add_file(bucket, number, better=0.6)
        add_file(bucket, number, versions=(spec("1"), spec("3")), prefix="g")
    # given two looks, of which the second finds more
    watching = watcher(bucket, uri)
    assert watching.look()
    add_file(bucket, 6, better=0.6)
    assert watching.look()
    assert set(seen.runs()) == {"2", "3"}
    for metric in ("rows", "agreement", "accuracy_production", "accuracy_staging", "accuracy_difference_high"):
        assert [step for step, _ in seen.series("2", metric)] == [1, 2, 3, 4, 5, 6, 7]
    assert seen.series("2", "rows_labelled")[-1] == (7, 2_800.0)
    parts = (dict(seen.series("2", name)) for name in ("accuracy_production", "accuracy_staging"))
    production, staging = (part[7] for part in parts)
    assert dict(seen.series("2", "accuracy_difference"))[7] == pytest.approx(staging - production, abs=1e-12)
    assert "Staging is better" in seen.artifact("2", "report.html")
    assert '"staging is better"' in seen.artifact("2", "summary.json")
    # then the version's page says it, below what people wrote
    version = seen.version("2")
    assert version.description.startswith(f"Tuned by Ada.\n\n{BEGIN}\n\n**Staging is better** (against production")
    assert "Over 2,800 labelled rows" in version.description
    run = seen.runs()["2"].info
    assert f"(#/experiments/{run.experiment_id}/runs/{run.run_id}/artifacts/report.html)" in version.description
    assert version.tags["understudy.verdict"] == "staging is better"
    assert version.tags["understudy.verdict.against"] == "version 1"
    assert version.tags["understudy.verdict.rows_labelled"] == "2800"
    assert seen.version("3").tags["understudy.verdict"].startswith("no")
    assert seen.version("1").description in (None, "")


def test_nothing_is_written_where_nothing_changed_not_even_after_a_restart(bucket: FolderBucket, uri: str) -> None:
    for number in range(3):
        add_file(bucket, number)
    first = watcher(bucket, uri)
    assert first.look()
    seen = Seen(uri)

    def state() -> tuple[Any, ...]:
        run = seen.runs()["2"]
        report = Path(run.info.artifact_uri.removeprefix("file://")) / "report.html"
        return (
            seen.version("2").last_updated_timestamp,
            run.info.run_id,
            len(seen.series("2", "rows")),
            report.stat().st_mtime_ns,
        )

    before = state()
    assert first.look()
    assert watcher(bucket, uri).look()
    assert state() == before
    # a restarted one goes on with the same run
    add_file(bucket, 3)
    assert watcher(bucket, uri).look()
    assert state()[1] == before[1]
    assert [step for step, _ in seen.series("2", "rows")] == [1, 2, 3, 4]


def test_labels_that_come_later_change_the_verdict(bucket: FolderBucket, uri: str) -> None:
    for number in range(6):
        add_file(bucket, number, better=0.6, labelled=False)
    watching, seen = watcher(bucket, uri), Seen(uri)
    assert watching.look()
    assert seen.version("2").tags["understudy.verdict"] == "not yet: no labelled rows so far"
    put(bucket, "labels/all.csv", labels_of(range(6)))
    assert watching.look()
    assert seen.version("2").tags["understudy.verdict"] == "staging is better"
    # the series that could not be before are there from the first file on
    assert [step for step, _ in seen.series("2", "accuracy_staging")] == [1, 2, 3, 4, 5, 6]


def test_a_rescoring_takes_the_place_of_the_scoring_before(bucket: FolderBucket, uri: str) -> None:
    for number in range(3):
        add_file(bucket, number)
    watching, seen = watcher(bucket, uri), Seen(uri)
    assert watching.look()
    before = seen.series("2", "accuracy_staging")[-1]
    add_file(bucket, 1, better=0.9, rescore=1)
    assert watching.look()
    after = seen.series("2", "accuracy_staging")[-1]
    assert seen.series("2", "rows")[-1] == (3, 3 * 400)
    assert after[0] == before[0] == 3
    assert after[1] > before[1]


def test_a_version_compared_with_two_says_what_the_newest_came_to(bucket: FolderBucket, uri: str) -> None:
    for number in range(6):
        add_file(bucket, number, better=0.6)
        add_file(bucket, number + 10, better=-0.6, versions=(spec("3"), spec("2")))
    assert watcher(bucket, uri).look()
    assert Seen(uri).version("2").tags["understudy.verdict"] == "production is better"
    assert Seen(uri).version("2").tags["understudy.verdict.against"] == "version 3"


def test_a_registry_that_is_not_there_yet_is_written_later(bucket: FolderBucket, tmp_path: Path) -> None:
    add_file(bucket, 1)
    watching = watcher(bucket, f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert not watching.look()
    uri = registered(tmp_path, {}, versions=2).tracking_uri
    assert watching.look()
    assert "understudy.verdict" in Seen(uri).version("2").tags


def test_a_version_that_is_gone_from_the_registry_keeps_its_run(bucket: FolderBucket, uri: str) -> None:
    add_file(bucket, 1, versions=(spec("1"), spec("9")))
    assert watcher(bucket, uri).look()
    assert set(Seen(uri).runs()) == {"9"}


def test_one_look_from_the_command_line(
    bucket: FolderBucket, uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_file(bucket, 1)
    monkeypatch.setenv("UNDERSTUDY_BUCKET", bucket.url)
    monkeypatch.setattr("edge.log.start_log", lambda *_, **__: None)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    assert main("models", "", COMMANDS, arguments=["watch", "--once", "--mlflow-tracking-uri", uri]) == 0
    assert "understudy.verdict" in Seen(uri).version("2").tags
    nowhere = f"sqlite:///{tmp_path / 'none.db'}"
    assert main("models", "", COMMANDS, arguments=["watch", "--once", "--mlflow-tracking-uri", nowhere]) == 1
    assert main("models", "", COMMANDS, arguments=["watch", "--interval", "soon"]) == 2


def test_the_block_in_a_description_is_replaced_and_the_rest_stays() -> None:
    block = f"{BEGIN}\n\nnew\n\n{END}"
    assert with_verdict("", block) == block
    assert with_verdict("mine\n", block) == f"mine\n\n{block}"
    assert with_verdict(f"a\n\n{BEGIN}\n\nold\n\n{END}\n\nb", block) == f"a\n\n{block}\n\nb"
    # somebody cut the end off: nothing of theirs is lost
    assert with_verdict(f"a {BEGIN} b", block) == f"a {BEGIN} b\n\n{block}"


def test_the_verdict_and_its_report_go_into_the_bucket_when_they_change(bucket: FolderBucket, uri: str) -> None:
    assert watcher(bucket, uri).look()
    assert list(bucket.objects(VERDICTS)) == []  # nothing is compared yet
    for number in range(6):
        add_file(bucket, number, better=0.6)
    watching = watcher(bucket, uri)
    assert watching.look()

    verdict = PostedVerdict.from_json(get(bucket, verdict_name(MODEL)))
    assert (verdict.production, verdict.staging, verdict.tone) == ("1", "2", "staging")
    assert (verdict.headline, verdict.says[:23]) == ("Staging is better", "Over 2,400 labelled row")
    assert verdict.command == "python -m models promote staging --if-better"
    picture = ElementTree.fromstring(verdict.picture)
    assert picture.tag == "{http://www.w3.org/2000/svg}svg"
    assert verdict.picture_keys == (("production", "production is better"), ("staging", "staging is better"))
    assert "Staging is better" in get(bucket, report_name(MODEL)).decode()

    # the same again is not written, not even by another that has just started
    before = {info.name: info.generation for info in bucket.objects(VERDICTS)}
    assert watching.look()
    assert watcher(bucket, uri).look()
    assert {info.name: info.generation for info in bucket.objects(VERDICTS)} == before
    # and of several pairs the newest is shown
    add_file(bucket, 9, versions=(spec("1"), spec("3")), prefix="g")
    assert watching.look()
    assert PostedVerdict.from_json(get(bucket, verdict_name(MODEL))).staging == "3"


def test_a_bucket_that_takes_no_verdict_does_not_stop_the_watch(
    bucket: FolderBucket, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_file(bucket, 0)
    watching = watcher(bucket, uri)

    def refuse(*_: object, **__: object) -> None:
        raise AccessRefused("the bucket may not be written to")

    with monkeypatch.context() as refused, capture_logs() as logs:
        refused.setattr(bucket, "write", refuse)
        assert watching.look()
        assert watching.look()
    assert [each["event"] for each in logs if each["log_level"] == "warning"] == ["verdict not put into the bucket"]
    assert Seen(uri).version("2").tags["understudy.verdict"].startswith("not yet")

    assert watching.look()
    assert bucket.stat(verdict_name(MODEL)) is not None


def test_a_verdict_that_another_watch_has_written_is_looked_at_again(bucket: FolderBucket, uri: str) -> None:
    add_file(bucket, 0)
    watching = watcher(bucket, uri)
    assert watching.look()
    put(bucket, verdict_name(MODEL), b"of another")
    add_file(bucket, 1)

    assert watching.look()

    assert PostedVerdict.from_json(get(bucket, verdict_name(MODEL))).basis.startswith("2 files")
