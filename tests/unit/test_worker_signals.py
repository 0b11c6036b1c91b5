"""A real worker's /metrics, /healthz and /readyz, through its whole life."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime

import pytest
from prometheus_client.parser import text_string_to_metric_families

from deploy.waiting import wait_for
from edge import metrics
from ledger.names import Key
from models.registry.client import PRODUCTION, STAGING
from tests.emulators import missing
from tests.unit.test_worker_program import PATIENCE, distances, finish, promote, run, start
from tests.unit.test_worker_program import place as place
from tests.worker_fixtures import dropped
from transport.bucket import get
from transport.buckets.folder.bucket import FolderBucket
from transport.queues.sqlite.queue import LocalQueue

MADE = datetime(2026, 3, 31, 12, 0, 0, 250_000, UTC).timestamp()  # as the MLmodel files of these tests have it


def address(program):
    """Where a program says that it listens."""
    while (record := json.loads(program.stderr.readline()))["message"] != "listening":
        pass
    return record["url"]


def ask(url):
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def figures(url):
    """Every sample at `url`: its name and labels → its value."""
    _, body = ask(f"{url}/metrics")
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(body)
        for sample in family.samples
    }


def check_metrics(body):
    """What Prometheus's own tool finds to say about them: nothing."""
    if shutil.which("promtool") is None:
        missing("promtool is not installed: it comes with Debian's package prometheus")
    checked = subprocess.run(["promtool", "check", "metrics"], input=body, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


@pytest.mark.slow
def test_a_worker_says_how_it_is_and_what_it_did(place):
    _, environment = place
    bucket, queue = FolderBucket(environment["UNDERSTUDY_BUCKET"]), LocalQueue(environment["UNDERSTUDY_QUEUE"])
    promote(place, STAGING, 2.0)
    with start(place, "--listen", "127.0.0.1:0", UNDERSTUDY_REGISTRY_POLL_SECONDS="0.2") as program:
        try:
            # Given a worker that has no production version: it lives, and is not ready
            url = address(program)
            wait_for(lambda: "no production version is in force" in ask(f"{url}/readyz")[1], seconds=PATIENCE)
            assert ask(f"{url}/healthz")[0] == 200

            # When it gets one, and files once staging is in force too
            promote(place, PRODUCTION, 1.0)
            wait_for(lambda: ask(f"{url}/readyz")[0] == 200, seconds=PATIENCE)
            wait_for(lambda: ("understudy_model_version_info", "staging", "1") in figures(url), seconds=PATIENCE)
            good = dropped(bucket, "good.csv", distances(300) + b"far\n")
            bad = dropped(bucket, "bad.csv", b"speed\n1\n")
            queue.publish([good.to_message(), bad.to_message(), good.to_message()])
            wait_for(lambda: figures(url)["understudy_last_processed_timestamp_seconds",] > 0, seconds=PATIENCE)
            wait_for(
                lambda: (
                    figures(url)["understudy_in_hand",] == 0
                    and figures(url)["understudy_step_seconds_count", "shadow"] >= 1
                    and figures(url)["understudy_files_total", "rejected"] == 1
                ),
                seconds=PATIENCE,
            )

            # Then its figures are those of what it did
            seen = figures(url)
            assert seen["understudy_files_total", "scored"] == 1
            comparison = json.loads(get(bucket, Key("good.csv", good.generation).comparison))
            assert comparison["schema"] == "understudy.comparison"
            assert seen["understudy_rows_total",] == 301
            assert seen["understudy_rows_rejected_total", "cell"] == 1
            assert sum(number for (name, *_), number in seen.items() if name == "understudy_rows_rejected_total") == 1
            assert seen["understudy_files_rejected_total", "header"] == 1
            assert seen["understudy_step_seconds_count", "score"] == 1
            assert seen["understudy_step_seconds_sum", "score"] > 0
            assert seen["understudy_registry_reachable",] == 1
            assert {key[1:] for key in seen if key[0] == "understudy_model_version_info"} == {
                ("production", "2"),
                ("staging", "1"),
            }
            assert seen["understudy_model_age_seconds", "production"] == pytest.approx(time.time() - MADE, abs=60)

            # and as Prometheus wants them
            body = ask(f"{url}/metrics")[1]
            listed = [metric for metric in metrics.METRICS if metrics.WORKER in metric.programs]
            assert body.count("# HELP understudy_") == len(listed)
            check_metrics(body)
        finally:
            program.send_signal(signal.SIGTERM)
        assert finish(program)[0] == 0


def test_an_address_that_cannot_be_listened_on_is_an_error_at_the_start(place):
    status, out, err = run(place, "--listen", "192.0.2.1:1")

    assert (status, out) == (2, "")
    assert json.loads(err)["error"].startswith("--listen 192.0.2.1:1: Cannot assign requested address")


@pytest.mark.slow
def test_what_a_row_says_is_in_no_log_unless_asked_for(place):
    # Given rows that no model can take, files that are no tables, and a message that names nothing
    _, environment = place
    bucket, queue = FolderBucket(environment["UNDERSTUDY_BUCKET"]), LocalQueue(environment["UNDERSTUDY_QUEUE"])
    promote(place, PRODUCTION, 1.0)
    promote(place, STAGING, 2.0)

    def drop(name):
        files = {
            "cells.csv": b"distance,note\nsecret-cell,secret-note\n5,secret-note\n",
            "ragged.csv": b"distance\nsecret-a,secret-b,secret-c\n1\n",
            "headless.csv": b"secret-x,secret-y\n1,2\n",
            "quote.csv": b'distance\n"secret-quote\n1\n',
        }
        queue.publish([dropped(bucket, f"{name}-{file}", data).to_message() for file, data in files.items()])

    # When they are scored
    drop("first")
    status, _, quiet = run(place, "--until-idle", "0", UNDERSTUDY_LOG_LEVEL="debug")
    drop("second")
    _, _, asked = run(place, "--until-idle", "0", UNDERSTUDY_LOG_LEVEL="debug", UNDERSTUDY_LOG_ROWS="true")

    # Then the log says what became of each, and quotes none of them
    records = [json.loads(line) for line in quiet.splitlines()]
    written = {record["file"]: record["status"] for record in records if record["message"] == "receipt written"}
    assert status == 0
    assert written == {
        "first-cells.csv": "scored",
        "first-ragged.csv": "scored",
        "first-headless.csv": "rejected",
        "first-quote.csv": "rejected",
    }
    assert "secret" not in quiet
    # unless it was asked to
    assert "secret-cell" in asked
    assert "secret-x" in asked
