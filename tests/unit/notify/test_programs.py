"""Programs as they are started, with receivers that are well, away and silent: the work goes on, each is told once."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from deploy.emulators import free_port
from deploy.waiting import wait_for
from ledger.names import RECEIPTS, TOLD, Key
from ledger.receipt import Status
from models.registry.client import PRODUCTION, Registry
from tests.unit.compared import add_file
from tests.unit.notify.receiver import never, receiver
from tests.unit.registered import MODEL, good_files, register
from tests.unit.test_worker_program import PATIENCE, distances, finish, place, promote, run, start
from tests.worker_fixtures import contents, dropped, receipt_of
from transport.buckets.folder.bucket import FolderBucket
from transport.queues.sqlite.queue import LocalQueue

__all__ = ["place"]
pytestmark = pytest.mark.slow

SECRET = "a secret of some length"


def types(known):
    return [json.loads(request.body)["type"] for request in known.got]


def program(place, *words, **environment):
    folder, base = place
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=folder,
        env=base | environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_a_worker_tells_a_rejected_file_once_and_waits_for_no_receiver(place):
    _, environment = place
    promote(place, PRODUCTION, 1.0)
    bucket, queue = FolderBucket(environment["UNDERSTUDY_BUCKET"]), LocalQueue(environment["UNDERSTUDY_QUEUE"])
    bad, good = dropped(bucket, "bad.csv", b"no,column\n1,2\n"), dropped(bucket, "good.csv", distances(5))
    queue.publish([each.to_message() for each in (bad, bad, good)])
    with receiver() as well, receiver() as slow, receiver() as catalogue:
        slow.answers = [never(slow)]
        away = f"http://127.0.0.1:{free_port()}"
        settings = {
            "UNDERSTUDY_NOTIFY": f"{well.url}/hidden slack+{slow.url}/services/hidden,{away}/hidden",
            "UNDERSTUDY_NOTIFY_SECRET": SECRET,
            "UNDERSTUDY_LINEAGE_URL": catalogue.url,
        }

        # when it works off its queue, and again when the same message comes to another
        status, out, err = run(place, "--until-idle", "0", **settings)
        queue.publish([bad.to_message()])
        again, _, more = run(place, "--until-idle", "0", **settings)

        # then it has ended well, all files have their receipts, and each receiver got one message
        assert (status, out, again) == (0, "", 0), err + more
        assert not slow.ending.is_set()
        assert receipt_of(bucket, Key("bad.csv", bad.generation)).status is Status.REJECTED
        assert receipt_of(bucket, Key("good.csv", good.generation)).status is Status.SCORED
        assert len(contents(bucket, RECEIPTS)) == 2
        assert types(well) == ["understudy.file.rejected"]
        assert [request.path for request in slow.got] == ["/services/hidden"]
        states = sorted(json.loads(request.body)["eventType"] for request in catalogue.got)
        assert states == ["COMPLETE", "FAIL"]
    assert set(well.got[0].headers) >= {"webhook-id", "webhook-timestamp", "webhook-signature"}
    assert json.loads(slow.got[0].body)["text"].startswith("File rejected")
    assert "hidden" not in err + more
    assert SECRET not in err + more


def test_a_publisher_tells_a_dead_letter_once(place):
    _, environment = place
    bucket, queue = FolderBucket(environment["UNDERSTUDY_BUCKET"]), LocalQueue(environment["UNDERSTUDY_QUEUE"])
    poison = dropped(bucket, "poison.csv", distances(1))
    with receiver() as well:
        for _ in range(2):
            LocalQueue(environment["UNDERSTUDY_QUEUE"], dead_letters=True).publish([poison.to_message()])
            done = program(place, "publisher", "--once", "--settle", "0", "--notify", f"{well.url}/hidden")
            assert done.returncode == 0, done.stderr
            assert "hidden" not in done.stderr
        assert types(well) == ["understudy.file.dead-lettered"]
    assert queue.backlog().dead == 0


def test_a_watch_tells_a_verdict_once(place):
    folder, environment = place
    for number in "12":
        register(environment["MLFLOW_TRACKING_URI"], folder / number, good_files(float(number)))
    bucket = FolderBucket(environment["UNDERSTUDY_BUCKET"])
    for number in range(6):
        add_file(bucket, number, better=0.6)
    with receiver() as well:
        for number in (6, 7):
            done = program(place, "models", "watch", "--once", UNDERSTUDY_NOTIFY=well.url)
            assert done.returncode == 0, done.stderr
            add_file(bucket, number, better=0.6)
        assert types(well) == ["understudy.verdict.reached"]
        assert json.loads(well.got[0].body)["data"]["verdict"] == "staging is better"


def test_a_publisher_notices_that_no_worker_is_there(place):
    _, environment = place
    dropped(FolderBucket(environment["UNDERSTUDY_BUCKET"]), "a.csv", distances(1))
    folder, base = place
    with receiver() as well:
        settings = {"UNDERSTUDY_NOTIFY": well.url, "UNDERSTUDY_STALLED_SECONDS": "0.5", "UNDERSTUDY_INTERVAL": "0.2"}
        with subprocess.Popen(
            [sys.executable, "-m", "publisher"], cwd=folder, env=base | settings, stderr=subprocess.PIPE, text=True
        ) as publisher:
            try:
                wait_for(lambda: types(well) == ["understudy.workers.silent"], seconds=PATIENCE)
            finally:
                publisher.terminate()
            _, err = publisher.communicate(timeout=PATIENCE)
        assert publisher.returncode == 0, err
        assert types(well) == ["understudy.workers.silent"]


def test_a_worker_tells_of_a_moved_alias_and_of_a_refused_version_once(place):
    _, environment = place
    bucket = FolderBucket(environment["UNDERSTUDY_BUCKET"])
    move(place, "first", good_files(1.0))
    with receiver() as well:
        settings = {"UNDERSTUDY_NOTIFY": well.url, "UNDERSTUDY_REGISTRY_POLL_SECONDS": "0.2"}
        with start(place, **settings) as worker:
            try:
                wait_for(lambda: bucket.stat(f"{TOLD}production.json"), seconds=PATIENCE)
                move(place, "second", good_files(2.0))
                wait_for(lambda: types(well) == ["understudy.alias.moved"], seconds=PATIENCE)
                move(place, "third", {**good_files(3.0), "model.onnx": b"no graph"})
                wait_for(lambda: len(well.got) == 2, seconds=PATIENCE)
            finally:
                worker.terminate()
            status, _, err = finish(worker)
        again, _, more = run(place, "--until-idle", "0", **settings)

    # also after a restart, in which the version in force comes from the cache
    assert (status, again) == (0, 0), err + more
    assert types(well) == ["understudy.alias.moved", "understudy.version.refused"]
    moved, refused = (json.loads(request.body)["data"] for request in well.got)
    assert (moved["alias"], moved["version"], moved["before"]) == ("production", "2", "1")
    assert (refused["version"], refused["serving"]) == ("3", "2")


def move(place, name, files):
    """Registers these files as a new version, and makes it production."""
    folder, environment = place
    uri = environment["MLFLOW_TRACKING_URI"]
    version = register(uri, folder / name, files)
    Registry(uri, MODEL).client.set_registered_model_alias(MODEL, PRODUCTION, version)
