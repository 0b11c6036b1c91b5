"""`compare`: which pair, which files, with which labels; and what it shows."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.command import main
from ledger.names import is_input
from models.commands.compare import COMMANDS, moment
from models.evidence.sources.labels import BadLabels, LateLabels, add_labels
from models.evidence.sources.records import comparison_keys
from models.registry.client import Registry
from tests.unit.compared import CLASSES, START, add_failure, add_file, labels_of, spec
from tests.unit.registered import MODEL, good_files, new_registry, register
from transport.bucket import get, put
from transport.buckets.folder.bucket import FolderBucket

Run = Callable[..., int]
UNTIMED = {"production_cost", "staging_cost", "notes"}


@pytest.fixture
def bucket(tmp_path: Path) -> FolderBucket:
    return FolderBucket(str(tmp_path / "bucket"))


@pytest.fixture
def run(bucket: FolderBucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command over that bucket; there is no registry unless a test makes one."""
    monkeypatch.setenv("UNDERSTUDY_BUCKET", bucket.url)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.setenv("COLUMNS", "120")

    def command(*arguments: str) -> int:
        return main("models", "", COMMANDS, arguments=["compare", *arguments])

    return command


@pytest.fixture
def summary(run: Run, capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    def of(*arguments: str) -> dict[str, Any]:
        assert run("--json", *arguments) == 0, capsys.readouterr().err
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    return of


def with_aliases(folder: Path, production: str, staging: str) -> str:
    uri = new_registry(folder)
    for number in "123":
        register(uri, folder / number, good_files(float(number)))
    client = Registry(uri, MODEL).client
    client.set_registered_model_alias(MODEL, "production", production)
    client.set_registered_model_alias(MODEL, "staging", staging)
    return uri


class TestShown:
    def test_a_table_a_page_and_json_say_the_same(
        self, bucket: FolderBucket, run: Run, summary: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for number in range(6):
            add_file(bucket, number, better=0.6)
        page = tmp_path / "out" / "report.html"
        assert run("--html", str(page)) == 0
        told = capsys.readouterr()
        assert "Staging is better. Over 2,400 labelled rows" in told.out
        assert str(page) in told.err
        assert "Staging is better" in page.read_text()
        data = summary()
        assert data["evidence"]["verdict"]["kind"] == "staging is better"
        assert data["rows"]["read"] == 6 * 402
        assert data["rows"]["failed_both"] == 12
        assert any("registry was not asked" in note for note in data["notes"])

    def test_nothing_to_compare_is_said_with_status_1(
        self, bucket: FolderBucket, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run() == 1
        assert "models stage VERSION" in capsys.readouterr().err
        assert run("--bucket", str(tmp_path / "nowhere")) == 1
        assert "there is no folder" in capsys.readouterr().err
        assert not (tmp_path / "nowhere").exists()
        add_file(bucket, 1)
        assert run("--production", "8") == 1
        assert f"there are comparisons of {MODEL} version 1 with {MODEL} version 2" in capsys.readouterr().err

    def test_files_that_failed_are_counted_with_their_reasons(
        self, bucket: FolderBucket, run: Run, summary: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        add_failure(bucket, "a.csv", "took longer than 60 s")
        assert run() == 1
        assert "1 file could not be compared, most because took longer than 60 s" in capsys.readouterr().err
        add_failure(bucket, "b.csv", "took longer than 60 s")
        add_failure(bucket, "c.csv", "memory ran out.")
        add_failure(bucket, "d.csv", "of another pair", staging="3")
        add_file(bucket, 1)
        put(bucket, "output/comparisons/e.csv@5.json", b"[]")
        notes = " ".join(summary()["notes"])
        assert "3 files could not be compared (2: took longer than 60 s; 1: memory ran out)." in notes
        assert "1 comparison records cannot be read (the first, e.csv@5:" in notes


class TestChosen:
    def test_the_pair_in_the_aliases_else_the_newest(self, bucket: FolderBucket, summary: Any, tmp_path: Path) -> None:
        uri = with_aliases(tmp_path, "1", "2")
        add_file(bucket, 1)
        add_file(bucket, 2, versions=(spec("1"), spec("3")))
        assert summary("--mlflow-tracking-uri", uri)["staging"]["version"] == "2"
        assert summary("--staging", "3")["staging"]["version"] == "3"
        Registry(uri, MODEL).client.set_registered_model_alias(MODEL, "production", "3")
        other = summary("--mlflow-tracking-uri", uri)
        assert other["staging"]["version"] == "3"
        assert f"no comparisons of {MODEL}, production version 3 and staging version 2" in other["notes"][0]

    def test_a_time_is_a_window_over_event_times(self, bucket: FolderBucket, summary: Any, run: Run) -> None:
        for number in range(6):
            add_file(bucket, number)
        since, until = ((START + timedelta(hours=hours)).isoformat() for hours in (1, 4))
        data = summary("--since", since, "--until", until)
        assert [look["file"] for look in data["evidence"]["looks"]] == ["f001.csv", "f002.csv", "f003.csv"]
        assert any("chosen time" in note for note in data["notes"])
        assert run("--since", "2030-01-01") == 1
        assert run("--since", "yesterday-ish") == 2

    def test_times_are_dates_or_spans(self) -> None:
        assert moment("2026-03-31") == datetime(2026, 3, 31, tzinfo=UTC)
        assert moment("2026-03-31T08:00+02:00") == datetime(2026, 3, 31, 6, tzinfo=UTC)
        ago = moment("36h")
        assert isinstance(ago, datetime)
        assert abs(datetime.now(UTC) - timedelta(hours=36) - ago) < timedelta(minutes=1)

    def test_of_one_content_the_newest_rescoring_counts(self, bucket: FolderBucket, summary: Any) -> None:
        first = add_file(bucket, 1, better=0.9)
        for rescore in (2, 10):
            add_file(bucket, 1, better=-0.9, rescore=rescore)
        assert [key.generation.rescore for key in comparison_keys(bucket)] == [10, 2, 0]
        data = summary()
        assert data["files"] == 1
        assert data["measures"]["accuracy"]["difference"]["value"] < 0
        assert get(bucket, first.comparison)


class TestLabels:
    def test_labels_are_never_inputs(self) -> None:
        assert not is_input("labels/monday.csv")
        assert not is_input("labels/monday.csv", "labels/")

    @pytest.mark.parametrize("place", ["bucket", "file"])
    def test_later_they_give_what_they_would_have_given_in_the_file(
        self, bucket: FolderBucket, tmp_path: Path, summary: Any, place: str
    ) -> None:
        for number in range(6):
            add_file(bucket, number, better=0.6)
        at_once = summary()
        for number in range(6):
            add_file(bucket, number, better=0.6, labelled=False)
        for info in list(bucket.objects("output/comparisons/")):
            if json.loads(get(bucket, info.name))["rows"]["unlabelled"] == 0:
                bucket.delete(info.name)
        assert summary()["evidence"]["sentence"] == "Not yet: no labelled rows so far."
        if place == "bucket":
            put(bucket, "labels/tuesday.csv", labels_of(range(2, 7)))
            put(bucket, "labels/monday.csv", labels_of(range(2)))
            later = summary()
        else:
            for name, numbers in (("a", range(3)), ("b", range(3, 7))):
                (tmp_path / f"{name}.csv").write_bytes(labels_of(numbers))
            later = summary("--labels", str(tmp_path / "a.csv"), "--labels", str(tmp_path / "b.csv"))
        assert at_once["evidence"]["verdict"]["kind"] == "staging is better"
        assert {name: later[name] for name in later if name not in UNTIMED} == {
            name: at_once[name] for name in at_once if name not in UNTIMED
        }
        assert later["production_cost"] == at_once["production_cost"]
        assert "2,400 of 2,412 rows have a label; 400 labels belong to no predicted row (" in later["notes"][1]

    def test_the_other_class_in_stagings_output_makes_no_difference(self, bucket: FolderBucket, summary: Any) -> None:
        turned = replace(spec("2"), classes=CLASSES[::-1], positive=CLASSES[0])
        for number in range(3):
            add_file(bucket, number, better=0.6, labelled=False, versions=(spec("1"), turned))
        put(bucket, "labels/all.csv", labels_of(range(3)))
        data = summary()
        assert data["rows"]["labelled"] == 1_200
        assert data["measures"]["accuracy"]["difference"]["value"] > 0
        assert data["measures"]["brier"]["difference"]["value"] < 0

    def test_what_was_predicted_then_may_be_gone(self, bucket: FolderBucket, summary: Any) -> None:
        for number in range(3):
            add_file(bucket, number, labelled=False)
        add_file(bucket, 0, labelled=False, rescore=1)
        bucket.delete("output/comparisons/" + str(comparison_keys(bucket)[0]) + ".json")
        put(bucket, "f001.csv", b"id\n")
        altered = get(bucket, "output/pred_f002.csv").replace(b"satisfied", b"dissatisfied")
        put(bucket, "output/pred_f002.csv", altered, metadata=dict(bucket.stat("output/pred_f002.csv").metadata))
        put(bucket, "labels/all.csv", labels_of(range(3)))
        data = summary()
        # the records stay as they were, and the report says of which files and why
        assert data["rows"]["read"] == 3 * 402
        assert data["rows"]["labelled"] == 0
        note = next(note for note in data["notes"] if "could not be joined" in note)
        assert note.startswith("3 files could not be joined with labels that came later (f000.csv@")
        assert "were replaced since" in note
        assert "its outputs are not those that were compared" in note

    def test_a_label_file_that_cannot_be_used_is_named(
        self, bucket: FolderBucket, run: Run, summary: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        add_file(bucket, 1)
        put(bucket, "labels/bad.csv", b"passenger,stars\n1,5\n")
        assert any("labels/bad.csv has the columns passenger, stars; of labels" in n for n in summary()["notes"])
        (tmp_path / "bad.csv").write_bytes(b"")
        assert run("--labels", str(tmp_path / "bad.csv")) == 1
        assert "bad.csv is no CSV that can be read: the file is empty" in capsys.readouterr().err
        assert run("--labels", str(tmp_path / "none.csv")) == 1
        assert "none.csv cannot be read: No such file" in capsys.readouterr().err

    @pytest.mark.parametrize("header", ["id,satisfaction", "satisfaction,id", "id,label", "id,happy", "who,label"])
    def test_two_columns_are_understood_whatever_one_is_called(self, header: str) -> None:
        late, turned = LateLabels(), header.startswith("sat")
        add_labels(BytesIO(f"{header}\n{'yes,7' if turned else '7,yes'}\n".encode()), "x.csv", "satisfaction", late)
        assert late.truth(np.array(["7"], object)).tolist() == ["yes"]

    def test_more_columns_need_their_names(self) -> None:
        add_labels(BytesIO(b"day,id,satisfaction\nmonday,7,yes\n"), "x.csv", "satisfaction", LateLabels())
        with pytest.raises(BadLabels, match="it takes `id` and `satisfaction`"):
            add_labels(BytesIO(b"day,passenger,satisfaction\n"), "x.csv", "satisfaction", LateLabels())
