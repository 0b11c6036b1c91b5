"""The parts of `make image-check`, `compose-check` and `vm-check` that can be judged without an engine or a machine."""

from __future__ import annotations

import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from threading import Thread
from urllib.error import HTTPError

import pytest

from deploy import emulators
from deploy.emulators import free_port
from ledger.names import Key
from ledger.receipt import Outcome, Source, Status
from tests.acceptance import base_image, compose, compose_check, guest_disk
from tests.acceptance.checked import CheckFailed, checked, expect, until
from tests.acceptance.debian import CannotRunHere, missing
from tests.acceptance.dropped import DroppedFiles
from tests.acceptance.images import pip_secrets
from tests.acceptance.metadata_server import PATH, Preempted, metadata_server
from tests.acceptance.stand_ins import need_emulators
from transport.buckets.folder.bucket import FolderBucket
from transport.event import Generation

TWO_ROWS = b"id,age\n1,20\n2,30\n"


def test_a_check_ends_with_what_it_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = []

    def held(folder: Path) -> None:
        assert folder.is_dir()
        folders.append(folder)

    def did_not(_folder: Path) -> None:
        expect(False, "the sky is green")

    def cannot(_folder: Path) -> None:
        raise CannotRunHere("missing: docker.io")

    assert [checked("make it", each) for each in (held, did_not, cannot)] == [0, 1, 2]
    told = capsys.readouterr()
    assert "make it: all held" in told.out
    assert "make it FAILED: the sky is green" in told.err
    assert "make it: missing: docker.io" in told.err
    assert not folders[0].exists()


def test_what_never_comes_is_waited_for_until_its_deadline() -> None:
    with pytest.raises(CheckFailed, match="not within 0 s: a receipt"):
        until(lambda: None, 0.0, lambda: "a receipt")
    assert until(lambda: "seen", 0.0, lambda: "")[0] == "seen"


def test_a_package_is_missing_where_one_of_its_programs_is() -> None:
    assert missing({"sh": "dash", "no-such-program": "b", "nor-this-one": "b", "cat": "coreutils"}) == ["b"]


def test_java_is_installed_or_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(CannotRunHere, match="apt-get install openjdk-17-jre-headless"):
        need_emulators()


def test_google_s_emulator_is_asked_for_before_anything_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.acceptance.stand_ins.need", lambda *_: None)
    monkeypatch.setattr(emulators, "_find_jar", lambda: None)
    monkeypatch.setattr(compose_check, "engine", lambda _folder: pytest.fail("an engine was asked for"))

    with pytest.raises(CannotRunHere, match="gcloud components install pubsub-emulator"):
        compose_check.check(tmp_path)


def test_a_prometheus_that_does_not_answer_yet_is_waited_for() -> None:
    assert compose_check.programs_scraped(free_port()) == 0


class TestDroppedFiles:
    """Files of a check: which have their receipt, and whether anything was lost."""

    @pytest.fixture
    def bucket(self, tmp_path: Path) -> FolderBucket:
        return FolderBucket(str(tmp_path / "bucket"))

    def put(self, bucket: FolderBucket, name: str, content: bytes) -> None:
        with bucket.write(name) as out:
            out.write(content)

    def receipt(self, bucket: FolderBucket, name: str, status: Status = Status.SCORED, rows: int = 2) -> None:
        info = bucket.stat(name)
        assert info is not None
        key = Key(name, Generation(info.generation))
        outcome = Outcome(status, Source(bucket.name, name, info.generation), worker="w")
        self.put(bucket, key.receipt, outcome.to_json().encode())
        self.put(bucket, key.output, b"row,id\n" + b"1,1\n" * rows)

    def test_a_file_without_a_receipt_is_waited_for(self, bucket: FolderBucket) -> None:
        self.put(bucket, "a.csv", TWO_ROWS)
        dropped_files = DroppedFiles(bucket)
        dropped_files.dropped({"a.csv": TWO_ROWS})

        assert [key.name for key in dropped_files.without_receipt] == ["a.csv"]
        with pytest.raises(CheckFailed, match=r"no receipt of a\.csv@"):
            dropped_files.await_all(0.0)

        self.receipt(bucket, "a.csv")
        assert dropped_files.await_all(0.0) < 60
        dropped_files.expect_nothing_lost()
        assert dropped_files.workers() == {"w"}

    @pytest.mark.parametrize(("status", "rows"), [(Status.REJECTED, 2), (Status.SCORED, 1)])
    def test_another_end_or_a_missing_row_is_a_failure(self, bucket: FolderBucket, status: Status, rows: int) -> None:
        self.put(bucket, "a.csv", TWO_ROWS)
        dropped_files = DroppedFiles(bucket)
        dropped_files.dropped({"a.csv": TWO_ROWS})
        self.receipt(bucket, "a.csv", status, rows)

        with pytest.raises(CheckFailed, match=r"a\.csv"):
            dropped_files.expect_nothing_lost()

    def test_a_receipt_of_nothing_that_came_is_a_failure(self, bucket: FolderBucket) -> None:
        self.put(bucket, "a.csv", TWO_ROWS)
        self.receipt(bucket, "a.csv")

        with pytest.raises(CheckFailed, match="not of what came"):
            DroppedFiles(bucket).expect_nothing_lost()


class TestMetadataServer:
    """As Google's own answers it: curl, in the VM's watch, waits there for a change."""

    def ask(self, port: int, query: str = "", **headers: str) -> tuple[str, str]:
        request = urllib.request.Request(f"http://127.0.0.1:{port}{PATH}{query}", headers=headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.read().decode(), answer.headers["ETag"]

    def test_who_waits_is_told_of_the_change_at_once(self) -> None:
        with metadata_server() as (preempted, port):
            flavour = {"Metadata-Flavor": "Google"}
            value, etag = self.ask(port, **flavour)
            told: list[tuple[str, str]] = []
            query = f"?wait_for_change=true&timeout_sec=60&last_etag={etag}"
            waiting = Thread(target=lambda: told.append(self.ask(port, query, **flavour)))
            waiting.start()
            until(lambda: preempted.asked == 2, 10, lambda: "the second question")
            assert told == []
            preempted.say(True)
            waiting.join(10)

            assert value == "FALSE"
            assert [answer for answer, _ in told] == ["TRUE"]
            assert told[0][1] != etag

    def test_without_a_change_the_answer_comes_in_time(self) -> None:
        assert Preempted().look("1" * 16, 0.0) == ("FALSE", "1" * 16)

    def test_a_browser_that_was_led_there_gets_nothing(self) -> None:
        with metadata_server() as (_, port), pytest.raises(HTTPError, match="403"):
            self.ask(port)


def test_an_override_changes_images_and_nothing_else() -> None:
    assert compose.override({"worker": "x:1"}) == {"services": {"worker": {"image": "x:1"}}}


def test_the_services_of_compose_and_what_is_built_for_them() -> None:
    services = compose.services()

    assert services["worker"] == "worker"
    assert services["mlflow"] == services["train"] == "models"
    assert services["pubsub"] is None


def test_pip_s_own_settings_reach_a_build_as_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificates = tmp_path / "ca.crt"
    certificates.write_text("one", encoding="utf-8")
    monkeypatch.setenv("PIP_CERT", str(certificates))
    monkeypatch.setenv("PIP_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("PIP_CONSTRAINT", "/limits/of/this/machine file:///more/of/them")

    options = pip_secrets(tmp_path)

    config = (tmp_path / "pip.conf").read_text(encoding="utf-8")
    assert "proxy = http://proxy.example:3128" in config
    assert "of/th" not in config
    assert "cert = /run/secrets/ca" in config
    assert options == ["--secret", f"id=ca,src={certificates}", "--secret", f"id=pipconf,src={tmp_path / 'pip.conf'}"]


def test_what_is_kept_between_checks_is_in_no_commit_and_no_build() -> None:
    for kept in (base_image.KEPT, guest_disk.KEPT):
        ignored = subprocess.run(["git", "check-ignore", "-q", kept], cwd=base_image.ROOT, check=False)
        assert ignored.returncode == 0
