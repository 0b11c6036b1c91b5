"""`make demo-cloud`, as a person runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.emulators import PubSubEmulator
from deploy.processes import ROOT
from tests.emulators import installed_pubsub_emulator

COMMAND = [sys.executable, "-m", "deploy.demo.cloud", "--folder"]


def test_without_java_it_says_how_to_get_it(tmp_path: Path) -> None:
    # Given: a machine without Java
    (tmp_path / "bin").mkdir()

    # When
    environment = {**os.environ, "PATH": str(tmp_path / "bin")}
    done = subprocess.run(
        [*COMMAND, str(tmp_path / "demo")], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )

    # Then: nothing was trained or started for nothing
    assert done.returncode == 2
    assert "Java 17" in done.stderr
    assert "gcloud components install pubsub-emulator" in done.stderr
    assert list((tmp_path / "demo").iterdir()) == []


@pytest.mark.emulator
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_file_comes_by_notification_and_has_its_receipt(tmp_path: Path) -> None:
    assert isinstance(installed_pubsub_emulator(), PubSubEmulator)

    # When: the demo runs, in the folder of an earlier run
    folder = tmp_path / "demo"
    (folder / "output").mkdir(parents=True)
    (folder / "output" / "left-over.csv").touch()
    done = subprocess.run(
        [*COMMAND, str(folder), "--seconds", "240"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    # Then: it ended well, and has outputs to show
    assert done.returncode == 0, done.stdout + done.stderr
    assert "20 of 20 files have their receipt" in done.stdout
    assert not (folder / "output" / "left-over.csv").exists()
    assert len(list((folder / "output" / "receipts").iterdir())) == 21, "twenty files, one of them twice"

    # And: both workers took files that the bucket itself told them of; the publisher had nothing to publish
    taken = {}
    for worker in ("worker-1", "worker-2"):
        records = map(json.loads, (folder / f"{worker}.log").read_text().splitlines())
        taken[worker] = [record for record in records if record["message"] == "file taken"]
    assert all(taken.values())
    assert {record["source"] for records in taken.values() for record in records} == {"gcs"}
    assert '"published"' not in (folder / "publisher.log").read_text()
