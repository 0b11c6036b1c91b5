"""`python -m worker`, as a person or a service manager runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.waiting import wait_for
from ledger.names import CLAIMS, RECEIPTS, Key
from ledger.receipt import Status
from models.registry.client import PRODUCTION, STAGING, Registry
from tests.chaos.understudy import scoring_processes
from tests.unit.registered import MODEL, good_files, new_registry, register
from tests.worker_fixtures import alive, contents, dropped, receipt_of
from transport.bucket import get
from transport.buckets.folder.bucket import FolderBucket
from transport.queue import Policy
from transport.queues.sqlite.queue import LocalQueue

ROOT = Path(__file__).parents[2]
PATIENCE = 120.0


@pytest.fixture
def place(tmp_path):
    """A folder with a registry, a bucket and a queue, and the environment that names them."""
    uri = new_registry(tmp_path)
    (tmp_path / "bucket").mkdir()
    return tmp_path, {
        **{name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")},
        "PYTHONPATH": str(ROOT),
        "MLFLOW_TRACKING_URI": uri,
        "UNDERSTUDY_MODEL_CACHE": str(tmp_path / "cache"),
        "UNDERSTUDY_BUCKET": str(tmp_path / "bucket"),
        "UNDERSTUDY_QUEUE": str(tmp_path / "queue.db"),
        "UNDERSTUDY_PROCESSES": "1",
    }


def start(place, *options, **environment):
    folder, base = place
    return subprocess.Popen(
        [sys.executable, "-m", "worker", *options],
        cwd=folder,
        env=base | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(program):
    out, err = program.communicate(timeout=PATIENCE)
    return program.returncode, out, err


def run(place, *options, **environment):
    with start(place, *options, **environment) as program:
        return finish(program)


def promote(place, alias, weight):
    folder, environment = place
    version = register(environment["MLFLOW_TRACKING_URI"], folder / f"artefact {alias}", good_files(weight))
    Registry(environment["MLFLOW_TRACKING_URI"], MODEL).client.set_registered_model_alias(MODEL, alias, version)


def distances(rows):
    return b"distance\n" + b"".join(b"%d\n" % (n % 100 - 50) for n in range(rows))


@pytest.mark.slow
def test_its_whole_life(place):
    # Given both versions, and a worker whose scoring processes stand still
    folder, environment = place
    promote(place, PRODUCTION, 1.0)
    promote(place, STAGING, 2.0)
    bucket = FolderBucket(environment["UNDERSTUDY_BUCKET"])
    queue = LocalQueue(environment["UNDERSTUDY_QUEUE"], policy=Policy(min_backoff=0.1))
    quick, long = dropped(bucket, "quick.csv", distances(10)), dropped(bucket, "long.csv", distances(30_000))
    with start(place, UNDERSTUDY_DRAIN_SECONDS="2") as program:
        while json.loads(program.stderr.readline())["message"] != "worker ready":
            pass
        processes = scoring_processes(program.pid)
        assert len(processes) >= 2
        for pid in processes:
            os.kill(pid, signal.SIGSTOP)

        # When it is told to end in the middle of its work, as a service manager does: the whole group at once
        queue.publish([quick.to_message(), long.to_message()])
        wait_for(lambda: len(names_taken(folder).splitlines()) == 2, seconds=PATIENCE)
        os.killpg(program.pid, signal.SIGTERM)
        status, out, err = finish(program)

    # Then it ends well, with nothing half done, and what it had is given back without a mark
    assert (status, out) == (0, "")
    wait_for(lambda: not any(alive(pid) for pid in processes))
    assert "Traceback" not in err
    assert (queue.backlog().waiting, queue.backlog().leased) == (2, 0)
    assert set(contents(bucket, "")) == {"quick.csv", "long.csv"}

    # When it is started again, until nothing is left
    status, out, err = run(place, "--until-idle", "0")

    # Then all is done
    assert (status, out) == (0, "")
    assert receipt_of(bucket, Key("long.csv", long.generation)).status is Status.SCORED
    assert receipt_of(bucket, Key("long.csv", long.generation)).rows == 30_000
    assert len(contents(bucket, RECEIPTS)) == 2
    assert contents(bucket, CLAIMS) == {}
    assert get(bucket, "output/pred_quick.csv").splitlines()[1] == b"1,,neutral,0,"
    assert (queue.backlog().waiting, queue.backlog().leased, queue.backlog().dead) == (0, 0, 0)
    taken = [line.split(" ", 2)[2] for line in names_taken(folder).splitlines()]
    assert sorted(taken) == ["long.csv", "long.csv", "quick.csv", "quick.csv"]

    # And its log is one JSON object per line, with who, what and when
    lines = [json.loads(line) for line in err.splitlines()]
    assert {line["program"] for line in lines} == {"worker"}
    written = next(line for line in lines if line["message"] == "receipt written" and line["file"] == "long.csv")
    assert (written["rows"], written["model_version"], written["attempt"]) == (30_000, "1", 2)
    assert written["worker"]
    assert written["time"].endswith("Z")
    queue.close()


def names_taken(folder):
    path = folder / "new_data_filenames.txt"
    return path.read_text() if path.exists() else ""


def test_it_waits_for_a_production_version_and_can_be_ended_meanwhile(place):
    with start(place) as program:
        waiting = json.loads(program.stderr.readline())
        program.send_signal(signal.SIGINT)
        status, _, err = finish(program)

    assert waiting["message"] == "waiting for a production version"
    assert "python -m models train all" in waiting["todo"]
    assert status == 0
    assert "Traceback" not in err


def test_wrong_options_end_it_at_once_with_a_line_per_mistake(place):
    status, out, err = run(place, "--processes", "0", UNDERSTUDY_SHADOW_FRACTION="1.5", UNDERSTUDY_BLOCK_BYTES="many")

    assert (status, out) == (2, "")
    lines = err.splitlines()
    assert len(lines) == 3
    for option, variable in (
        ("processes", "UNDERSTUDY_PROCESSES"),
        ("shadow-fraction", "UNDERSTUDY_SHADOW_FRACTION"),
        ("block-bytes", "UNDERSTUDY_BLOCK_BYTES"),
    ):
        assert any(f"--{option} (or {variable})" in line for line in lines)


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("UNDERSTUDY_QUEUE", "/proc/no/queue.db", "the queue /proc/no/queue.db cannot be opened"),
        ("UNDERSTUDY_BUCKET", "/proc/no", "/proc/no"),
    ],
)
def test_a_place_that_cannot_be_used_ends_it_with_what_is_wrong(place, variable, value, told):
    status, _, err = run(place, **{variable: value})

    assert status == 2
    [line] = [json.loads(line) for line in err.splitlines()]
    assert line["message"] == "cannot start"
    assert told in line["error"]


def test_help_names_every_option_and_reads_like_help(place):
    status, out, err = run(place, "--help")

    assert (status, err) == (0, "")
    assert "python -m worker" in out
    for option in ("--until-idle", "--drain-seconds", "--shadow-fraction", "--processes", "--filenames-log"):
        assert option in out
    assert "SIGTERM and Ctrl-C" in out
