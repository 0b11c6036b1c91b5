"""What only the adapter of Pub/Sub has to cope with: a server that forgets, resources that are missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest
import structlog

from tests.contract.queues import PUBSUB, Queues, ensure_topology
from tests.emulators import PubSubEmulator, installed_pubsub_emulator
from transport.event import Message
from transport.pubsub import PubSubQueue
from transport.pubsub_names import Names
from transport.queue import Delivery, QueueError

pytestmark = [pytest.mark.emulator, pytest.mark.timeout(300)]  # longer than `Queues.patience`

EVENT = {"eventType": "OBJECT_FINALIZE", "bucketId": "airline"}


@pytest.fixture
def url(pubsub_emulator: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A queue that nobody has provisioned."""
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", pubsub_emulator)
    return "pubsub://test/nobody-made-this"


@pytest.fixture
def own_emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[PubSubEmulator]:
    """An emulator that the test may kill."""
    emulator = installed_pubsub_emulator()
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", emulator.host)
    emulator.start()
    yield emulator
    emulator.kill()


def stream_ended(record: Mapping[str, object]) -> bool:
    return record["event"] == "pull stream ended"


def test_what_is_missing_is_named_with_the_command_that_makes_it(url: str) -> None:
    queue, dead_letters = PubSubQueue(url), PubSubQueue(url, dead_letters=True)
    makes_it = "does not exist; `python -m publisher provision` makes it"
    with pytest.raises(QueueError, match=f"projects/test/subscriptions/nobody-made-this-workers {makes_it}"):
        queue.verify()
    with pytest.raises(QueueError, match=f"projects/test/subscriptions/nobody-made-this-dead-letters {makes_it}"):
        dead_letters.verify()
    with pytest.raises(QueueError, match=f"projects/test/topics/nobody-made-this {makes_it}"):
        queue.publish([Message(b"", EVENT)])
    queue.close()
    dead_letters.close()


def test_an_attribute_that_pubsub_cannot_carry_is_an_error_of_the_queue(own_emulator: PubSubEmulator) -> None:
    url = "pubsub://test/flights"
    ensure_topology(Names.parse(url), PUBSUB)
    queue = PubSubQueue(url)
    with pytest.raises(QueueError, match=r"projects/test/topics/flights: .*surrogates"):
        queue.publish([Message(b"", {**EVENT, "objectId": "\udcff"})])
    queue.close()


@pytest.mark.slow
def test_a_server_that_restarts_and_forgets_costs_no_restart_here(own_emulator: PubSubEmulator) -> None:
    # Given a consumer at work
    queues = Queues("pubsub://test/flights", PUBSUB)
    ensure_topology(Names.parse(queues.url), PUBSUB)
    queue = queues.open()
    queue.publish([Message(b"before", EVENT)])
    [before] = queues.pull(queue, 1)
    before.ack()
    # When the server is killed, then pulls give nothing, and raise nothing
    own_emulator.kill()
    assert queue.pull(1, wait=0.5) == []
    # When it comes back without its topics and subscriptions, then the log says which command makes them
    with structlog.testing.capture_logs() as logs:
        own_emulator.start()
        queues.until(lambda: queue.pull(1, wait=0.2) == [] and any(map(stream_ended, logs)))
    assert "python -m publisher provision" in next(filter(stream_ended, logs))["error"]
    # And when that has been done, the same consumer goes on
    ensure_topology(Names.parse(queues.url), PUBSUB)
    assert queue.publish([Message(b"after", EVENT)]) == 1
    [after] = queues.pull(queue, 1)
    assert after.message.data == b"after"
    after.ack()
    queue.close()


@pytest.mark.slow
def test_answers_reach_the_server_though_the_stream_of_their_message_has_ended(
    own_emulator: PubSubEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given deliveries in hand whose stream was replaced, because all its places were taken
    monkeypatch.setattr("transport.pubsub_stream.QUIET_SECONDS", 0.01)
    queues = Queues("pubsub://test/flights", PUBSUB)
    ensure_topology(Names.parse(queues.url), PUBSUB)
    queue = PubSubQueue(queues.url)
    queue.publish([Message(b"%d" % number, EVENT) for number in range(6)])
    held: list[Delivery] = []

    def all_held() -> bool:
        held.extend(queue.pull(2, wait=0.5))
        for delivery in held:  # what was on its way into a stream that was replaced comes a lease later
            delivery.extend()
        return len({delivery.id for delivery in held}) == 6  # one whose lease ran out here comes twice

    queues.until(all_held)
    assert queue._stream is not None
    first = queue._stream._stream
    queues.until(lambda: queue.pull(1, wait=0.1) == [] and queue._stream._stream is not first)  # type: ignore[union-attr]
    # When they are acked, then none comes again to anybody, also after its lease
    for delivery in held:
        delivery.ack()
    queue.close()
    other = queues.open()
    assert other.pull(10, wait=PUBSUB.lease + 2) == []
    other.close()


def test_a_queue_says_whether_its_service_still_answers(own_emulator: PubSubEmulator) -> None:
    # Given a consumer that hears nothing, which may be all right
    queues = Queues("pubsub://test/flights", PUBSUB)
    ensure_topology(Names.parse(queues.url), PUBSUB)
    queue, missing = PubSubQueue(queues.url), PubSubQueue("pubsub://test/nowhere")
    queues.until(lambda: queue.trouble() == "")  # an emulator that has just started may be slow to answer
    # When there is no subscription, or the service is gone, then it says so
    queues.until(lambda: "publisher provision" in missing.trouble())
    own_emulator.kill()
    assert queue.trouble()
    queue.close()
    missing.close()


def test_a_stream_that_hears_nothing_is_opened_anew(
    own_emulator: PubSubEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a consumer whose stream has been silent for longer than is likely
    monkeypatch.setattr("transport.pubsub_stream.SILENCE_SECONDS", 0.2)
    queues = Queues("pubsub://test/flights", PUBSUB)
    ensure_topology(Names.parse(queues.url), PUBSUB)
    queue = PubSubQueue(queues.url)
    queue.pull(1, wait=0)
    assert queue._stream is not None
    first = queue._stream._stream
    assert queue.last_heard is None
    # When it pulls, then it does so by another stream, that works
    queues.until(lambda: queue.pull(1, wait=0.1) == [] and queue._stream._stream is not first)  # type: ignore[union-attr]
    monkeypatch.setattr("transport.pubsub_stream.SILENCE_SECONDS", 300.0)
    queue.publish([Message(b"", EVENT)])
    [delivery] = queues.pull(queue, 1)
    assert queue.last_heard is not None
    delivery.ack()
    queue.close()
