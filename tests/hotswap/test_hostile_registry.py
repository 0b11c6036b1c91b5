"""Whoever may register a version, or publish a message, harms neither production nor the registry's token."""

from __future__ import annotations

import json
import socket
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pytest

from deploy.waiting import wait_for
from edge.server import CONNECTIONS
from ledger.names import UNUSABLE
from ledger.receipt import Status
from models.registry.client import PRODUCTION, STAGING
from models.registry.spec import GRAPH_FILE, SPEC_FILE
from tests.chaos.understudy import Program, Running
from tests.hotswap.load import survey
from tests.hotswap.registries import DatabaseRegistry, version_files
from tests.unit.registered import graph, laughs, pins, register_folder
from transport.bucket import get
from transport.event import Generation

DESCRIPTIONS = {
    "has an anchor (&a0)": laughs(),
    "lies deeper than 32 levels": b"[" * 1_000_000,
    "at most 1,048,576": b"a: b\n" * 400_000,
    "is no JSON": b"flavors: {onnx: {}}\nmetadata: {understudy: {classes: [a, b]}}\nsignature: {inputs: '"
    + b"[" * 900_000
    + b"'}\n",
}


def health(worker: Program) -> int:
    with urllib.request.urlopen(f"{worker.records('listening')[0]['url']}/healthz", timeout=60) as answer:
        return int(answer.status)


@pytest.mark.slow
def test_a_hostile_registry_and_hostile_messages_and_clients_stop_nothing(
    following: Callable[[str], Running], database: DatabaseRegistry
) -> None:
    # Given a worker that serves, a publisher, and somebody's own server
    good = database.register(version_files(1.0))
    database.move(PRODUCTION, good)
    running = following(database.uri)
    worker = running.worker("--listen", "127.0.0.1:0")
    running.ready(worker)
    running.publisher()
    elsewhere = socket.create_server(("127.0.0.1", 0))
    host = f"127.0.0.1:{elsewhere.getsockname()[1]}"
    done = 0

    def a_file_goes_through() -> None:
        nonlocal done
        running.drop(f"{done}.csv", survey(20))
        done += 1
        running.wait_until_done(done)
        assert health(worker) == 200

    # When the alias `staging` names versions with hostile descriptions, and files elsewhere, one after the other
    for said, mlmodel in DESCRIPTIONS.items():
        files = {SPEC_FILE: mlmodel, GRAPH_FILE: graph()}
        version = database.register(files, pins(files))
        database.move(STAGING, version)
        assert said in worker.wait_for_log("version refused", version=version)["error"]
        a_file_goes_through()
    source = f"http://{host}/api/2.0/mlflow-artifacts/artifacts/1"
    stolen = register_folder(database.uri, source, pins(version_files(2.0)))
    database.move(STAGING, stolen)
    assert "ARTIFACT_HOSTS" in worker.wait_for_log("version refused", version=stolen)["error"]
    a_file_goes_through()

    # And a message asks for a re-scoring far ahead
    event = running.event("0.csv")
    far = replace(event, generation=Generation(event.generation.content, 2**63 - 1), source="rescore")
    running.queue.publish([far.to_message()])
    [record] = wait_for(lambda: list(running.bucket.objects(UNUSABLE)), "a record")
    assert "asks for re-scoring" in json.loads(get(running.bucket, record.name))["reason"]
    again = running.start("publisher rescore", "0.csv")
    assert again.status() == 0
    done += 1
    running.wait_until_done(done)

    # And clients say nothing for as long as they may
    port = int(worker.records("listening")[0]["url"].rpartition(":")[2])
    slow = []
    for number in range(CONNECTIONS + 50):
        slow.append(socket.create_connection(("127.0.0.1", port)))
        with suppress(OSError):
            slow[-1].send(b"GET /heal" if number % 2 else b"")
    a_file_goes_through()
    for client in slow:
        client.close()

    # Then nobody asked the other server, every file was scored by the good version, and the worker ends as told
    elsewhere.setblocking(False)
    with pytest.raises(BlockingIOError):
        elsewhere.accept()
    elsewhere.close()
    assert worker.end() == 0
    receipts = running.receipts()
    assert {receipt.status for receipt in receipts} == {Status.SCORED}
    assert {receipt.model.version for receipt in receipts if receipt.model} == {good}
    assert [receipt.source.rescore for receipt in running.receipts("0.csv")] == [0, 1]
    assert not worker.records("version abandoned")
