"""A receipt as OpenLineage's own classes take it, once, and only where it is asked for."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import attr
import pytest
from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState

from deploy.waiting import wait_for
from edge.address import CannotSignal
from edge.notify.lineage import Lineage, run_event
from edge.notify.notifier import Notifier
from ledger.receipt import ModelUsed, Outcome, RowError, Source, Status
from tests.unit.notify.receiver import receiver, status

MODEL = ModelUsed("airline", "5", "0123", "satisfied")
SOURCE = Source("flights", "in/flights.csv", 7, 1, size=300)
FINISHED = "2026-11-28T10:00:00.000Z"
SCORED = Outcome(
    Status.SCORED,
    SOURCE,
    MODEL,
    rows=20,
    rejected_rows=2,
    output="output/pred_flights.csv",
    attempt=1,
    finished=FINISHED,
)


def parsed(outcome: Outcome) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(outcome.to_json())
    return found


def read(content: bytes) -> RunEvent:
    """The event as the classes of the package have it: each refuses fields that it does not know."""
    sent = json.loads(content)
    return RunEvent(
        eventTime=sent["eventTime"],
        eventType=RunState(sent["eventType"]),
        run=Run(**sent["run"]),
        job=Job(**sent["job"]),
        inputs=[InputDataset(**each) for each in sent["inputs"]],
        outputs=[OutputDataset(**each) for each in sent["outputs"]],
        producer=sent["producer"],
    )


def test_a_scored_file_is_a_complete_run_from_the_file_to_its_predictions():
    event = attr.asdict(run_event(parsed(SCORED), "gs://flights", "production"))

    assert (event["eventType"], event["eventTime"]) == (RunState.COMPLETE, FINISHED)
    assert (event["job"]["namespace"], event["job"]["name"]) == ("production", "airline")
    [read_from], [wrote_to] = event["inputs"], event["outputs"]
    assert (read_from["namespace"], read_from["name"]) == ("gs://flights", "in/flights.csv")
    assert read_from["facets"]["version"]["datasetVersion"] == "7.1"
    statistics = read_from["inputFacets"]["inputStatistics"]
    assert (statistics["rowCount"], statistics["size"], statistics["fileCount"]) == (20, 300, 1)
    assert (wrote_to["namespace"], wrote_to["name"]) == ("gs://flights", "output/pred_flights.csv")
    assert wrote_to["outputFacets"]["outputStatistics"]["rowCount"] == 20
    tags = {tag["key"]: tag["value"] for tag in event["run"]["facets"]["tags"]["tags"]}
    assert (tags["model_version"], tags["mlflow_run_id"], tags["rejected_rows"]) == ("5", "0123", "2")
    assert "errorMessage" not in event["run"]["facets"]


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (Outcome(Status.REJECTED, SOURCE, MODEL, fault="header", finished=FINISHED), RunState.FAIL),
        (Outcome(Status.DEAD_LETTERED, SOURCE, errors=(RowError("4111 1111"),), finished=FINISHED), RunState.FAIL),
        (Outcome(Status.SUPERSEDED, SOURCE, MODEL, rows=20), RunState.ABORT),
    ],
)
def test_a_file_without_predictions_is_a_run_that_failed_or_was_overtaken(outcome: Outcome, state: RunState):
    event = run_event(parsed(outcome), "gs://flights", "understudy")

    assert (event.eventType, event.outputs) == (state, [])
    assert event.run.facets is not None
    assert "errorMessage" in event.run.facets
    assert event.job.name == (outcome.model.name if outcome.model else "no-model")
    assert "4111" not in str(event)


def test_one_scoring_of_one_content_is_one_run(tmp_path: Path):
    again = Outcome(Status.SCORED, Source("flights", "in/flights.csv", 7, 2), MODEL, finished=FINISHED)
    runs = [
        run_event(parsed(outcome), bucket, "understudy").run.runId
        for outcome in (SCORED, again)
        for bucket in ("gs://flights", "gs://flights", str(tmp_path))
    ]
    assert runs[0] == runs[1]
    assert len(set(runs)) == 4


def test_a_file_of_a_folder_has_its_path(tmp_path: Path):
    [read_from] = run_event(parsed(SCORED), str(tmp_path), "understudy").inputs or []
    assert (read_from.namespace, read_from.name) == ("file", f"{tmp_path}/in/flights.csv")


def test_every_receipt_is_sent_once_to_a_catalogue():
    with receiver(status(201)) as marquez:
        lineage = Lineage(marquez.url, "a key", "understudy", "gs://flights")
        notifier = Notifier("gs://flights", lineage=lineage)
        assert not notifier  # no receiver is told
        notifier.receipt(SCORED, "output/receipts/x")
        notifier.receipt(Outcome(Status.REJECTED, SOURCE, MODEL, finished=FINISHED), "output/receipts/y")
        wait_for(lambda: len(marquez.got) == 2)
        notifier.close()

    assert [read(request.body).eventType for request in marquez.got] == [RunState.COMPLETE, RunState.FAIL]
    assert {request.path for request in marquez.got} == {"/api/v1/lineage"}
    assert marquez.got[0].headers["authorization"] == "Bearer a key"
    assert json.loads(marquez.got[0].body)["producer"].startswith("urn:understudy:")


def test_a_path_that_is_given_is_the_one_that_is_asked():
    with receiver() as catalogue:
        lineage = Lineage(f"{catalogue.url}/own/path", "", "understudy", "gs://flights")
        lineage.receipt(SCORED)
        wait_for(lambda: [request.path for request in catalogue.got] == ["/own/path"])
        lineage.outbox.end()
        lineage.outbox.join(10)
    assert "authorization" not in catalogue.got[0].headers


def test_without_its_client_the_program_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "openlineage.client", None)
    with pytest.raises(CannotSignal, match=r"requirements/lineage\.txt"):
        Lineage("http://127.0.0.1:9", "", "understudy", "gs://flights")
