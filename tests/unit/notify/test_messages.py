"""What a message says: as a CloudEvent that its SDK reads, signed; and for Slack, with nothing in it that is obeyed."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import time
from typing import Any

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from jsonschema import validate

from deploy.schemas import notification
from edge.notify.cloud_event import cloud_event, key_of
from edge.notify.news import (
    FAULTS,
    MOST,
    Happening,
    News,
    VerdictReached,
    alias_moved,
    bounded,
    of_receipt,
    verdict_reached,
    version_refused,
    workers_silent,
)
from edge.notify.options import several
from edge.notify.slack import TITLES, slack
from ledger.names import Key
from ledger.receipt import ModelUsed, Outcome, RowError, Source, Status
from models.scoring.table.faults import FileFault
from transport.event import Generation

SOURCE = "gs://flights"
KEY = b"0123456789abcdef0123456789abcdef"
CELL = "Jane Doe, 4111 1111 1111 1111"
HOSTILE = "<!channel> <https://evil.example|click> *_~`&amp;\u202e.csv"


def receipt(status: Status = Status.REJECTED, name: str = "flights.csv", fault: str = "header") -> dict[str, Any]:
    """As it lies in the bucket; its errors quote a row."""
    outcome = Outcome(
        status,
        Source("flights", name, 7, 1, size=3),
        ModelUsed("airline", "5", "run") if status is Status.REJECTED else None,
        fault=fault,
        attempt=2,
        worker="vm-1",
        finished="2026-11-28T10:00:00.000Z",
        errors=(RowError(f"{CELL} is no number", 3, "age"),),
    )
    parsed: dict[str, Any] = json.loads(outcome.to_json())
    return parsed


def about(status: Status = Status.REJECTED, name: str = "flights.csv", fault: str = "header") -> News:
    news = of_receipt(receipt(status, name, fault), Key(name, Generation(7, 1)).receipt)
    assert news is not None
    return news


VERDICT = VerdictReached(
    "airline", "4", "5", "staging is better", "accuracy", "Staging is better. It was right more often.", 9, 70, "r"
)
ALL = [
    about(),
    about(Status.DEAD_LETTERED, fault=""),
    version_refused("staging", "airline", "6", "its graph is broken", "5", "1"),
    alias_moved("production", "airline", "6", "5", "1"),
    alias_moved("staging", "airline", None, "5", "2"),
    verdict_reached(VERDICT),
    workers_silent(1_234, 300.4, "pubsub://p/files", "1"),
]


def test_each_happening_is_here_and_has_a_title():
    assert {news.happening for news in ALL} == set(Happening) == set(TITLES)


@pytest.mark.parametrize("news", ALL, ids=lambda news: news.happening)
def test_it_is_a_cloud_event_of_the_documented_form(news: News):
    post = cloud_event("https://a.example/x", news, SOURCE, b"")

    assert post.headers == {"content-type": "application/cloudevents+json"}
    event = from_http_event(HTTPMessage(dict(post.headers), post.body))
    assert (event.get_specversion(), event.get_source(), event.get_type()) == ("1.0", SOURCE, news.happening)
    assert event.get_id() == news.id(SOURCE)
    assert (event.get_subject(), event.get_time()) == (news.subject, news.time)
    assert event.get_data()["text"] == news.sentence
    validate(json.loads(post.body), notification())


def test_what_is_told_of_a_rejected_file_quotes_no_row():
    news = about()

    assert news.fields() == {
        "text": "flights.csv was rejected: its header is not one that the model can be given.",
        "file": "flights.csv",
        "generation": "7.1",
        "status": "rejected",
        "fault": "header",
        "reason": "its header is not one that the model can be given",
        "attempts": 2,
        "receipt": "output/receipts/flights.csv@7.1.json",
        "model": "airline",
        "version": "5",
    }
    for told in ALL:
        for form in (cloud_event("http://a", told, SOURCE, b""), slack("http://a", told, SOURCE)):
            assert b"4111" not in form.body


def test_a_scored_file_is_no_news():
    assert of_receipt(receipt(Status.SCORED), "x") is None
    assert of_receipt(receipt(Status.SUPERSEDED), "x") is None


def test_every_fault_of_a_file_has_its_words():
    assert set(FAULTS) == {str(fault) for fault in FileFault}


def test_the_same_thing_has_the_same_id_and_another_thing_another():
    assert about().id(SOURCE) == about().id(SOURCE)
    ids = {news.id(source) for news in ALL for source in (SOURCE, "gs://other")}
    assert len(ids) == 2 * len(ALL)


def test_texts_from_outside_are_bounded():
    news = version_refused("staging", "airline", "6", "x" * 10_000, None, "1")
    assert len(news.sentence) < MOST + 200
    assert len(cloud_event("http://a", news, SOURCE, b"").body) < 4_000
    assert bounded("a" * 10, 4) == "aaa…"
    assert len(slack("http://a", about(name="&" * 1_000 + ".csv"), SOURCE).body) < 20_000


def test_the_signature_is_that_of_standard_webhooks():
    secret = "whsec_" + base64.b64encode(KEY).decode()
    post = cloud_event("http://a", about(), SOURCE, key_of(secret))

    signed = f"{post.headers['webhook-id']}.{post.headers['webhook-timestamp']}.".encode() + post.body
    expected = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    assert post.headers["webhook-signature"] == f"v1,{expected}"
    assert post.headers["webhook-id"] == about().id(SOURCE)
    assert abs(int(post.headers["webhook-timestamp"]) - time.time()) < 60


def test_a_secret_is_a_text_or_base64():
    assert key_of("") == b""
    assert key_of("a text of some length") == b"a text of some length"
    for wrong in ("short", "whsec_", "whsec_not base64 at all"):
        with pytest.raises(ValueError, match=r"bytes at least|no base64"):
            key_of(wrong)


@pytest.mark.parametrize("news", [*ALL, about(name=HOSTILE)], ids=lambda news: news.happening)
def test_slack_gets_text_and_blocks_within_its_limits(news: News):
    post = slack("https://hooks.example/T/B/x", news, SOURCE)
    message = json.loads(post.body)

    assert post.headers == {"Content-Type": "application/json"}
    assert message["text"].startswith(TITLES[news.happening])
    first, *others = message["blocks"]
    assert first["text"]["text"].startswith(f"*{TITLES[news.happening]}*\n")
    texts = [first["text"], *(each for block in others for each in block.get("fields", block.get("elements")))]
    assert all(text["type"] == "mrkdwn" and text["verbatim"] and len(text["text"]) <= 2_000 for text in texts)
    assert all(len(block.get("fields", ())) <= 10 for block in message["blocks"])


def test_a_hostile_name_is_only_shown():
    message = json.loads(slack("http://a", about(name=HOSTILE), SOURCE).body)

    everything = json.dumps(message, ensure_ascii=False)
    shown = "&lt;!channel&gt; &lt;https://evil.example|click&gt; *_~ˋ&amp;amp;\\\\u202e.csv"
    assert f"`{shown}`" in everything
    assert not re.search(r"[<>\u202e]", everything)
    # every letter of it stands in code, where nothing is formatted
    for text in (message["text"], message["blocks"][0]["text"]["text"]):
        assert "evil" not in "".join(text.split("`")[::2])


def test_a_hostile_reason_is_only_shown():
    news = version_refused("staging", "airline", "6", "<!here> *bold* http://evil.example", "5", "1")
    text = json.loads(slack("http://a", news, SOURCE).body)["text"]
    assert text.endswith("goes on serving: `&lt;!here&gt; *bold* http://evil.example`")


def test_several_addresses_end_at_blanks_and_commas():
    assert several("http://a, http://b\nhttp://c") == ["http://a", "http://b", "http://c"]
    assert several(["http://a,http://b", "http://c"]) == ["http://a", "http://b", "http://c"]
    assert several('["http://a"]') == ["http://a"]
    assert several("") == []
