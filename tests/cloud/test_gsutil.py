"""A file uploaded with `gsutil cp` is scored by way of a notification, and `gsutil cat` shows its predictions."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from models.training.airline.sample import survey
from tests.cloud.house import House
from tests.emulators import missing

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


def test_what_gsutil_uploads_is_scored_and_gsutil_shows_the_predictions(house: House, tmp_path: Path) -> None:
    # Given: a bucket whose notifications go to a provisioned topic, a worker, and nobody who looks into the bucket
    gsutil = Gsutil(tmp_path / "gsutil", house.storage.https_port)
    house.provision()
    [worker] = house.workers(1)

    # When: a person copies a file there
    file = tmp_path / "june flights.csv"
    survey(ROWS, seed=5).to_csv(file, index=False)
    gsutil.run("cp", str(file), f"{house.bucket.url}/")

    # Then: it is scored, and it was the notification that brought it
    worker.wait_for_log("receipt written", file="june flights.csv", status="scored")
    [taken] = worker.records("file taken")
    assert (taken["file"], taken["source"]) == ("june flights.csv", "gcs")
    assert len(house.receipts("june flights.csv")) == 1

    # And: the person sees one prediction per row, in order
    header, *lines = gsutil.run("cat", f"{house.bucket.url}/output/pred_june flights.csv").splitlines()
    assert header == "row,id,prediction,probability,error"
    assert [line.split(",")[0] for line in lines] == [str(number) for number in range(1, ROWS + 1)]
    assert all(line.split(",")[2] and line.endswith(",") for line in lines), "no row has an error"
    assert worker.end() == 0
