"""Messages about objects: what Cloud Storage sends is understood, what no one should send is refused with a reason."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transport.event import MAX_GENERATION, Generation, Message, ObjectEvent, UnusableMessage

# What a bucket notification carries: https://cloud.google.com/storage/docs/pubsub-notifications
GCS_ATTRIBUTES = {
    "notificationConfig": "projects/_/buckets/drop/notificationConfigs/3",
    "eventType": "OBJECT_FINALIZE",
    "payloadFormat": "JSON_API_V1",
    "bucketId": "drop",
    "objectId": "flights of May.csv",
    "objectGeneration": "1716899512345678",
    "overwroteGeneration": "1716899500000000",
    "eventTime": "2024-05-28T12:31:52.345678Z",
}
GCS_PAYLOAD = {
    "kind": "storage#object",
    "id": "drop/flights of May.csv/1716899512345678",
    "name": "flights of May.csv",
    "bucket": "drop",
    "generation": "1716899512345678",
    "metageneration": "1",
    "contentType": "text/csv",
    "size": "123456",
    "md5Hash": "CY9rzUYh03PK3k6DJie09g==",
    "crc32c": "hcBpjQ==",
    "timeCreated": "2024-05-28T12:31:52.345Z",
}


def gcs(data: bytes | None = None, **changes: str) -> Message:
    attributes = {name: value for name, value in (GCS_ATTRIBUTES | changes).items() if value is not None}
    return Message(json.dumps(GCS_PAYLOAD).encode() if data is None else data, attributes)


def refusal(message: Message) -> str:
    with pytest.raises(UnusableMessage) as caught:
        ObjectEvent.from_message(message)
    return str(caught.value)


def test_the_message_of_a_bucket_notification_is_understood():
    event = ObjectEvent.from_message(gcs())

    assert event == ObjectEvent(
        bucket="drop",
        name="flights of May.csv",
        generation=Generation(1716899512345678),
        event_time="2024-05-28T12:31:52.345678Z",
        size=123456,
        source="gcs",
        md5="CY9rzUYh03PK3k6DJie09g==",
        crc32c="hcBpjQ==",
    )


def test_our_own_message_has_the_shape_of_a_notification():
    # Given an event of the poller
    event = ObjectEvent("drop", "a.csv", Generation(7), "2024-05-28T12:31:52Z", size=5, source="poller")

    # When it becomes a message
    message = event.to_message()

    # Then whoever reads notifications finds in it all that a notification would say
    assert set(message.attributes) - set(GCS_ATTRIBUTES) == {"source"}
    assert message.attributes["eventType"] == "OBJECT_FINALIZE"
    assert message.attributes["objectGeneration"] == "7"
    resource = json.loads(message.data)
    assert set(resource) <= set(GCS_PAYLOAD)
    assert all(isinstance(value, str) for value in resource.values())
    assert (resource["name"], resource["bucket"], resource["size"]) == ("a.csv", "drop", "5")
    assert resource["contentType"] == "text/csv"
    table = ObjectEvent("drop", "a.Parquet", Generation(7), "2024-05-28T12:31:52Z")
    assert json.loads(table.to_message().data)["contentType"] == "application/vnd.apache.parquet"


names = (
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=60)
    .map(lambda text: text.replace("/", "∕"))
    .filter(lambda text: text not in (".", "..") and len(text.encode()) <= 1024)
)
events = st.builds(
    ObjectEvent,
    bucket=st.text(min_size=1, max_size=30),
    name=st.lists(names, min_size=1, max_size=3).map("/".join),
    generation=st.builds(Generation, st.integers(0, MAX_GENERATION), st.integers(0, 1000)),
    event_time=st.datetimes().map(lambda at: at.isoformat() + "Z"),
    size=st.none() | st.integers(0, 2**62),
    source=st.sampled_from(["gcs", "poller", "watch", "rescore"]),
)


@given(events)
def test_an_event_survives_its_message(event):
    assert ObjectEvent.from_message(event.to_message()) == event


@given(st.dictionaries(st.sampled_from(sorted(GCS_ATTRIBUTES)) | st.text(), st.text()), st.binary())
def test_any_message_is_an_event_or_refused_with_a_reason(attributes, data):
    message = Message(data, {**attributes, "eventType": "OBJECT_FINALIZE"})
    try:
        event = ObjectEvent.from_message(message)
    except UnusableMessage:
        assert 0 < len(refusal(message)) < 2_000
    else:
        assert event.name == attributes["objectId"]


@pytest.mark.parametrize(
    "name",
    ["../secret.csv", "a/../../b.csv", "/etc/passwd.csv", "a//b.csv", "./a.csv", "..", "a/.", "a/"],
)
def test_a_path_that_climbs_is_refused(name):
    assert "is not a plain path" in refusal(gcs(objectId=name))


@pytest.mark.parametrize("name", ["a\nb.csv", "a\0.csv", "\x1b[2Ja.csv", "a\x7f.csv", "a\r.csv"])
def test_control_characters_are_refused(name):
    assert "control character" in refusal(gcs(objectId=name))


def test_a_name_too_long_for_an_object_is_refused_by_its_bytes():
    assert ObjectEvent.from_message(gcs(objectId="ü" * 510 + ".csv")).name.startswith("ü")
    assert "1026 bytes" in refusal(gcs(objectId="ü" * 511 + ".csv"))
    assert "1000000 bytes" in refusal(gcs(objectId="a" * 1_000_000))
    assert "not valid Unicode" in refusal(gcs(objectId="\ud800.csv"))


@pytest.mark.parametrize(
    "generation",
    ["", "seven", "-1", "+1", "1.5", "1e3", " 1", "1_000", "١٢٣", "²", "9" * 19, "9" * 5000, "0x10", "\0", str(2**63)],
)
@pytest.mark.parametrize("attribute", ["objectGeneration", "rescore"])
def test_a_generation_that_is_no_whole_number_is_refused(generation, attribute):
    reason = refusal(gcs(**{attribute: generation}))

    assert "not a whole number" in reason
    assert len(reason) < 200


def test_the_largest_generation_is_accepted():
    assert ObjectEvent.from_message(gcs(objectGeneration=str(MAX_GENERATION))).generation.content == MAX_GENERATION


@pytest.mark.parametrize("missing", ["bucketId", "objectId", "objectGeneration", "eventType"])
def test_what_a_message_lacks_is_named(missing):
    assert missing in refusal(gcs(**{missing: None}))


@pytest.mark.parametrize("kind", ["OBJECT_DELETE", "OBJECT_METADATA_UPDATE", "object_finalize"])
def test_other_kinds_of_events_are_refused_by_name(kind):
    assert kind in refusal(gcs(eventType=kind))


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"null",
        b"[]",
        b"\xff\xfe",
        b"[" * 200_000,
        b"9" * 10_000,
        b'{"size": "' + b"9" * 1_000_000 + b'x"}',
        b'{"size": {"a": 1}}',
        b'{"size": "-5"}',
        b'{"size": "\xd9\xa1"}',
    ],
    ids=range(10),
)
def test_a_payload_that_says_nothing_is_no_error(payload):
    # payloadFormat=NONE has no payload at all: the attributes decide
    event = ObjectEvent.from_message(gcs(payload, payloadFormat="NONE"))

    assert event.generation == Generation(1716899512345678)
    assert event.size is None


def test_a_payload_of_a_megabyte_is_read_for_its_few_fields():
    event = ObjectEvent.from_message(gcs(json.dumps(GCS_PAYLOAD | {"metadata": {"a": "b" * 1_000_000}}).encode()))

    assert event.size == 123456


def test_the_payload_does_not_overrule_the_attributes():
    payload = json.dumps(GCS_PAYLOAD | {"name": "../../etc/passwd", "generation": "1"}).encode()

    event = ObjectEvent.from_message(gcs(payload))

    assert (event.name, event.generation.content) == ("flights of May.csv", 1716899512345678)


def test_long_texts_of_no_importance_are_cut():
    event = ObjectEvent.from_message(gcs(eventTime="x" * 10_000, source="y" * 10_000))

    assert len(event.event_time) <= 40
    assert len(event.source) <= 20


def test_generations_are_ordered_by_content_and_then_by_rescoring():
    assert Generation(1) < Generation(1, 1) < Generation(1, 2) < Generation(1, 10) < Generation(2)


@given(st.integers(0, MAX_GENERATION), st.integers(0, MAX_GENERATION))
def test_a_generation_is_read_back_from_its_text(content, rescore):
    generation = Generation(content, rescore)

    assert Generation.parse(str(generation)) == generation


@pytest.mark.parametrize("text", ["", ".", "1.", ".1", "1.0", "01", "1.01", "1.2.3", "-1", " 1", "1 ", "a", "1.a", "¹"])
def test_no_other_text_is_a_generation(text):
    with pytest.raises(ValueError):
        Generation.parse(text)
