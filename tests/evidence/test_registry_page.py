"""The verdict in a real MLflow: on the page where the alias is moved, and through outages of its server."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.waiting import wait_for
from models.evidence.judging.watcher import Watcher
from models.evidence.pages.registry_page import STAGING_TAG, RegistryPage
from models.registry.client import Registry
from tests.emulators import missing
from tests.hotswap.registries import ServedRegistry, version_files
from tests.unit.compared import add_file
from tests.unit.registered import MODEL
from transport.buckets.folder.bucket import FolderBucket

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
VERDICT_TAG = "understudy.verdict"
EXPERIMENT = f"{MODEL}: staging against production"
QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedRegistry]:
    """An MLflow server with versions 1 (production) and 2 (staging), for all tests one after the other."""
    with pytest.MonkeyPatch.context() as environment, ServedRegistry(tmp_path_factory.mktemp("served")) as server:
        # A slow answer is one all the same: who polls would ask again, these tests do not.
        environment.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")
        for weight in (1.0, 2.0):
            server.register(version_files(weight))
        server.move("production", "1")
        server.move("staging", "2")
        yield server


@pytest.fixture
def served(server: ServedRegistry) -> Iterator[ServedRegistry]:
    """The same as it was when it knew no verdict."""
    client, registered = server.client, server.client.get_model_version(MODEL, "2")
    yield server
    experiment = client.get_experiment_by_name(EXPERIMENT)
    for run in client.search_runs([experiment.experiment_id]):
        client.delete_run(run.info.run_id)
    client.update_model_version(MODEL, "2", registered.description)
    for tag in client.get_model_version(MODEL, "2").tags.keys() - registered.tags.keys():
        client.delete_model_version_tag(MODEL, "2", tag)


@pytest.fixture
def bucket(tmp_path: Path) -> FolderBucket:
    return FolderBucket(str(tmp_path / "bucket"))


def watcher(bucket: FolderBucket, served: ServedRegistry) -> Watcher:
    registry = Registry(served.uri, MODEL)
    return Watcher(bucket, registry, RegistryPage(registry))


def rendered(page: str, folder: Path) -> str:
    """The page's text once its script has run, as a browser shows it."""
    browser = shutil.which("chromium")
    if browser is None:
        missing("there is no chromium here: install Debian's package `chromium`")
    profile = f"--user-data-dir={folder / 'profile'}"
    shown = subprocess.run(
        [browser, *QUIET, profile, "--virtual-time-budget=30000", "--dump-dom", page],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    return shown.stdout


def test_the_version_page_shows_the_verdict_and_leads_to_the_report(
    served: ServedRegistry, bucket: FolderBucket, tmp_path: Path
) -> None:
    assert VERDICT_TAG not in served.client.get_model_version(MODEL, "2").tags
    for number in range(6):
        add_file(bucket, number, better=0.6)
    assert watcher(bucket, served).look()
    page = f"{served.uri}/#/models/{MODEL}/versions/2"
    # The browser's time runs ahead of a slow server's: then it is looked at again.
    shown = wait_for(lambda: text if "Staging is better" in (text := rendered(page, tmp_path)) else "", page, 240)
    assert "<strong>Staging is better</strong> (against production version 1)" in shown
    assert "Over 2,400 labelled rows" in shown
    assert "understudy verdict" not in shown.replace("understudy.verdict", "")  # the markers are comments
    run = served.client.get_model_version(MODEL, "2").tags["understudy.verdict.run"]
    assert f"/runs/{run}/artifacts/report.html" in shown
    local = served.client.download_artifacts(run, "report.html", str(tmp_path))
    assert "Staging is better" in Path(local).read_text()


def test_an_outage_is_survived_and_what_was_missed_is_written(served: ServedRegistry, bucket: FolderBucket) -> None:
    assert VERDICT_TAG not in served.client.get_model_version(MODEL, "2").tags
    add_file(bucket, 0)
    watching = watcher(bucket, served)
    assert watching.look()
    # given a server that is away while files are scored
    served.go_away()
    for number in range(1, 6):
        add_file(bucket, number, better=0.9)
        assert not watching.look()
    served.come_back()
    # when it is back, one look brings it up to date, in the same run
    assert watching.look()
    experiment = served.client.get_experiment_by_name(EXPERIMENT)
    (run,) = served.client.search_runs([experiment.experiment_id])
    assert run.data.tags[STAGING_TAG].startswith("2 ")
    steps = {point.step for point in served.client.get_metric_history(run.info.run_id, "rows")}
    assert sorted(steps) == [1, 2, 3, 4, 5, 6]
    assert served.client.get_model_version(MODEL, "2").tags[VERDICT_TAG] == "staging is better"
