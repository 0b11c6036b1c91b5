"""The schemas in docs/ are those of the code, and what programs really write is as they say."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError

from deploy.processes import ROOT
from deploy.schemas import SCHEMAS, Schemas
from ledger.names import COMPARISONS, RECEIPTS
from ledger.receipt import ModelUsed, Outcome, RowError, Source, Status
from tests.memory import MemoryBucket, MemoryQueue
from tests.unit.compared import add_file
from tests.worker_fixtures import Here, Worker, contents, dropped, fetched, survey
from transport.event import Generation, Message, ObjectEvent
from transport.queue import Policy
from worker.versions.swap import InForce


def check(name: str, content: Any) -> None:
    """Raises ValidationError. Against the page, not the code: a page that was forgotten shows up too."""
    schema = json.loads((ROOT / "docs" / f"{name}.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(content)


def as_plain_data(message: Message) -> dict[str, Any]:
    return {"attributes": dict(message.attributes), "data": json.loads(message.data)}


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_page_is_current_and_a_schema(name: str, tmp_path):
    assert Schemas(out=tmp_path).run() == 0

    page = (tmp_path / f"{name}.schema.json").read_text(encoding="utf-8")
    assert (ROOT / "docs" / f"{name}.schema.json").read_text(encoding="utf-8") == page, "`make docs` writes it again"
    Draft202012Validator.check_schema(json.loads(page))


def test_what_a_worker_writes_and_what_a_queue_carries_is_as_the_pages_say(tmp_path):
    bucket, queue = MemoryBucket(), MemoryQueue(Policy(lease=1_000.0))
    versions = InForce(fetched(tmp_path, "1"), fetched(tmp_path, "2", bias=1.0))
    worker = Worker(bucket, queue, Here(bucket), Here(bucket), versions)
    files = {"good.csv": survey(5), "rows.csv": survey(3) + b"1,red,heavy,30,yes\n", "bad.csv": b"no,survey\n1,2\n"}
    messages = [dropped(bucket, name, content).to_message() for name, content in files.items()]
    for message in messages:
        check("event", as_plain_data(message))
        queue.publish([message])
        worker.handle()

    receipts = [json.loads(content) for content in contents(bucket, RECEIPTS).values()]
    assert {each["status"] for each in receipts} == {"scored", "rejected"}
    for receipt in receipts:
        check("receipt", receipt)
    comparisons = list(contents(bucket, COMPARISONS).values())
    assert len(comparisons) == 2
    for comparison in comparisons:
        check("comparison", json.loads(comparison))


def test_records_of_files_with_ids_and_labels_and_of_those_without_are_as_the_page_says():
    bucket = MemoryBucket()
    for number, labelled in enumerate((True, False)):
        add_file(bucket, number, labelled=labelled)
    for content in contents(bucket, COMPARISONS).values():
        check("comparison", json.loads(content))


@pytest.mark.parametrize("status", Status)
def test_every_kind_of_receipt_is_as_the_page_says(status: Status):
    source = Source("b", "a.csv", 7, 1, 3, "bWQ1", "Y3Jj", "00ff")
    errors = (RowError("it is wrong", 3, "age"), RowError("all of it"))
    full = Outcome(
        status, source, ModelUsed("m", "1", "r", "yes"), 3, 1, {"cell": 1}, {"age": 2}, "", "output/pred_a.csv"
    )
    for outcome in (full, Outcome(status, Source("b", "a.csv", 7), errors=errors)):
        check("receipt", json.loads(outcome.to_json()))


def test_events_of_every_source_are_as_the_page_says():
    for event in (
        ObjectEvent("b", "a.csv", Generation(1), "2026-01-01T00:00:00Z", 3),
        ObjectEvent("b", "a.csv", Generation(1, 2), source="rescore"),
    ):
        check("event", as_plain_data(event.to_message({"traceparent": "00-0-0-00"})))


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("receipt", {"status": "lost"}),
        ("event", {"attributes": {}, "data": {}}),
        ("comparison", {"schema": "understudy.comparison", "version": 1}),
        ("notification", {"specversion": "1.0", "type": "understudy.file.rejected"}),
    ],
)
def test_something_else_is_not(name: str, wrong: dict[str, Any]):
    with pytest.raises(ValidationError):
        check(name, wrong)
