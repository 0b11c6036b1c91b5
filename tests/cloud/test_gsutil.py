"""A file uploaded with `gsutil cp` is scored by way of a notification, and `gsutil cat` shows its predictions."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.cloud.storage import Client

from deploy.emulators import Notifications, StorageEmulator
from deploy.processes import Program, end
from ledger.names import RECEIPTS
from models.airline.sample import survey
from tests.emulators import installed_pubsub_emulator, missing
from transport.open import open_bucket

pytestmark = [pytest.mark.emulator, pytest.mark.slow, pytest.mark.timeout(300)]

ROWS = 40


class Gsutil:
    """The installed client, without an account, and with a configuration of its own that knows only the emulator."""

    def __init__(self, folder: Path, https_port: int) -> None:
        program = shutil.which("gsutil")
        if program is None:
            missing("gsutil is not installed; it comes with the Google Cloud CLI")
        self._program = program
        folder.mkdir()
        config = folder / "boto"
        config.write_text(
            "[Credentials]\n"
            f"gs_json_host = 127.0.0.1\ngs_json_port = {https_port}\n"
            f"gs_host = 127.0.0.1\ngs_port = {https_port}\n"
            "[Boto]\nhttps_validate_certificates = False\n"
            f"[GSUtil]\nprefer_api = json\nsoftware_update_check_period = 0\nstate_dir = {folder / 'state'}\n"
        )
        self._environment = {
            **os.environ,
            "BOTO_CONFIG": str(config),
            "CLOUDSDK_CONFIG": str(folder / "gcloud"),
            "HOME": str(folder),
        }

    def run(self, *arguments: str) -> str:
        done = subprocess.run(
            [self._program, *arguments], env=self._environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StorageEmulator]:
    """Both emulators, the one telling the other what was uploaded; this process's clients find them."""
    pubsub = installed_pubsub_emulator()
    storage = StorageEmulator.installed(Notifications(pubsub.host, "demo", "flights"), tmp_path / "storage.log")
    try:
        pubsub.start()
        storage.start()
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", pubsub.host)
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", storage.url)
        yield storage
    finally:
        storage.kill()
        pubsub.kill()


def test_what_gsutil_uploads_is_scored_and_gsutil_shows_the_predictions(
    services: StorageEmulator, tiny_registry: str, tmp_path: Path
) -> None:
    # Given: a bucket whose notifications go to a provisioned topic, a worker, and nobody who looks into the bucket
    gsutil = Gsutil(tmp_path / "gsutil", services.https_port)
    client = Client(project="demo")
    client.create_bucket("flights")
    client.close()
    environment = {
        "BUCKET": "gs://flights",
        "QUEUE": "pubsub://demo/flights",
        "MLFLOW_TRACKING_URI": tiny_registry,
        "MODEL_CACHE": str(tmp_path / "cache"),
        "FILENAMES_LOG": str(tmp_path / "names.txt"),
    }
    provision = [sys.executable, "-m", "publisher", "provision"]
    subprocess.run(provision, env={**os.environ, **environment}, check=True, stdout=subprocess.DEVNULL)
    worker = Program("worker", ["worker", "--processes", "1"], environment).start(tmp_path)
    try:
        # When: a person copies a file there
        file = tmp_path / "june flights.csv"
        survey(ROWS, seed=5).to_csv(file, index=False)
        gsutil.run("cp", str(file), "gs://flights/")

        # Then: it has a receipt
        bucket = open_bucket("gs://flights")
        deadline = time.monotonic() + 120
        while not (receipts := list(bucket.objects(RECEIPTS + "june flights.csv@"))):
            assert time.monotonic() < deadline, (tmp_path / "worker.log").read_text()
            assert worker.poll() is None, (tmp_path / "worker.log").read_text()
            time.sleep(0.1)
        bucket.close()
        assert len(receipts) == 1

        # And: it was the notification that brought it
        log = [json.loads(line) for line in (tmp_path / "worker.log").read_text().splitlines()]
        taken = [record for record in log if record["message"] == "file taken"]
        assert [(record["file"], record["source"]) for record in taken] == [("june flights.csv", "gcs")]

        # And: the person sees one prediction per row, in order
        header, *lines = gsutil.run("cat", "gs://flights/output/pred_june flights.csv").splitlines()
        assert header == "row,id,prediction,probability,error"
        assert [line.split(",")[0] for line in lines] == [str(number) for number in range(1, ROWS + 1)]
        assert all(line.split(",")[2] and line.endswith(",") for line in lines), "no row has an error"
    finally:
        statuses = end({"worker": worker})
    assert statuses == {"worker": 0}
