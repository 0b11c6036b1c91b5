"""What only the adapter of Pub/Sub has to cope with: a server that forgets, resources that are missing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace

import pytest
import structlog
from google.cloud.pubsub_v1 import SubscriberClient
from google.pubsub_v1.types import StreamingPullResponse

from deploy.emulators import PubSubEmulator
from tests.cloud.pubsub_proxy import PubSubProxy
from tests.contract.clock import Clock
from tests.contract.queues import EVENT, LONGEST_LEASE, PUBSUB, Queues, ensure_topology
from transport.event import Message
from transport.queue import Delivery, QueueError
from transport.queues.pubsub.connection import _after_the_ends, _OrderlyCall
from transport.queues.pubsub.names import Names
from transport.queues.pubsub.queue import PubSubQueue
from transport.queues.pubsub.stream import SILENCE_SECONDS

pytestmark = [pytest.mark.emulator, pytest.mark.timeout(300)]  # longer than `Queues.patience`


def provisioned(project: str, lease: float = PUBSUB.lease) -> Queues:
    """A queue in that project, as the publisher provisions it."""
    queues = Queues(f"pubsub://{project}/flights", replace(PUBSUB, lease=lease))
    ensure_topology(Names.parse(queues.url), queues.policy)
    return queues


def stream_ended(record: Mapping[str, object]) -> bool:
    return record["event"] == "pull stream ended"


def test_what_is_missing_is_named_with_the_command_that_makes_it(pubsub_project: str) -> None:
    url, project = f"pubsub://{pubsub_project}/nobody-made-this", f"projects/{pubsub_project}"
    queue, dead_letters = PubSubQueue(url), PubSubQueue(url, dead_letters=True)
    makes_it = "does not exist; `python -m publisher provision` makes it"
    with pytest.raises(QueueError, match=f"{project}/subscriptions/nobody-made-this-workers {makes_it}"):
        queue.verify()
    with pytest.raises(QueueError, match=f"{project}/subscriptions/nobody-made-this-dead-letters {makes_it}"):
        dead_letters.verify()
    with pytest.raises(QueueError, match=f"{project}/topics/nobody-made-this {makes_it}"):
        queue.publish([Message(b"", EVENT)])
    queue.close()
    dead_letters.close()


def test_an_attribute_that_pubsub_cannot_carry_is_an_error_of_the_queue(pubsub_project: str) -> None:
    queue = PubSubQueue(provisioned(pubsub_project).url)
    with pytest.raises(QueueError, match=rf"projects/{pubsub_project}/topics/flights: .*surrogates"):
        queue.publish([Message(b"", {**EVENT, "objectId": "\udcff"})])
    queue.close()


@pytest.mark.slow
def test_a_server_that_restarts_and_forgets_costs_no_restart_here(mortal_emulator: PubSubEmulator) -> None:
    # Given a consumer at work
    queues = provisioned("test")
    queue = queues.open()
    queue.publish([Message(b"before", EVENT)])
    [before] = queues.pull(queue, 1)
    before.ack()
    # When the server is killed, then pulls give nothing, and raise nothing
    mortal_emulator.kill()
    assert queue.pull(1, wait=0.5) == []
    # When it comes back without its topics and subscriptions, then the log says which command makes them
    with structlog.testing.capture_logs() as logs:
        mortal_emulator.start()
        queues.until(lambda: queue.pull(1, wait=0.2) == [] and any(map(stream_ended, logs)))
    assert "python -m publisher provision" in next(filter(stream_ended, logs))["error"]
    # And when that has been done, the same consumer goes on
    ensure_topology(Names.parse(queues.url), PUBSUB)
    assert queue.publish([Message(b"after", EVENT)]) == 1
    [after] = queues.pull(queue, 1)
    assert after.message.data == b"after"
    after.ack()
    queue.close()


class Call:
    """A streaming pull of which each answer brings one message, and then the end."""

    def __init__(self, *names: bytes) -> None:
        self.left = [pulled(name) for name in names]

    def __next__(self) -> StreamingPullResponse:
        if not self.left:
            raise StopIteration
        return self.left.pop(0)

    def cancel(self) -> None:
        """After a while, if it is not over."""


def pulled(*names: bytes) -> StreamingPullResponse:
    return StreamingPullResponse(received_messages=[{"message": {"data": name}} for name in names])


def test_a_stream_that_is_told_to_end_is_read_to_its_end() -> None:
    # Given a stream that is told to end while messages are on their way
    call = _OrderlyCall(Call(b"1", b"2", b"3", b"4"))
    assert next(call) == pulled(b"1")
    call.cancel()
    # Then whoever reads on gets them all, though it takes one more answer only
    assert next(call) == pulled(b"2", b"3", b"4")
    with pytest.raises(StopIteration):
        next(call)


def test_a_client_that_is_closed_reads_what_ends_and_cuts_what_does_not() -> None:
    # Given two streams of which nobody reads, and one of them is told to end
    ending, open_still, left = _OrderlyCall(Call(b"1", b"2")), _OrderlyCall(Call(b"1", b"2")), []
    ending.cancel()
    # When the client is closed
    _after_the_ends([ending, open_still], lambda: left.extend((len(ending.left), len(open_still.left))))()
    # Then that one has ended before
    assert left == [0, 2]


def test_answers_reach_the_server_though_the_stream_of_their_message_has_ended(
    pubsub_project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given deliveries in hand, under leases that do not run out, whose stream was replaced: all its places were taken
    monkeypatch.setattr("transport.queues.pubsub.stream.QUIET_SECONDS", 0.01)
    queues = provisioned(pubsub_project, LONGEST_LEASE)
    queue = PubSubQueue(queues.url)
    queue.publish([Message(b"%d" % number, EVENT) for number in range(6)])
    held: list[Delivery] = []

    def all_held() -> bool:
        held.extend(queue.pull(2, wait=0.5))
        return len(held) == 6

    queues.until(all_held, lambda: f"6 in hand, but {len(held)}")
    assert queue._stream is not None
    first = queue._stream._stream
    queues.until(lambda: queue.pull(1, wait=0.1) == [] and queue._stream._stream is not first)  # type: ignore[union-attr]
    # When all but one are acked
    *acked, kept = held
    for delivery in acked:
        delivery.ack()
    queue.close()
    # Then what Pub/Sub is told to give to somebody else at once is only the one that it has not heard to be done with
    with SubscriberClient() as client:
        client.modify_ack_deadline(
            subscription=queue.names.subscription,
            ack_ids=[delivery._received.message.ack_id for delivery in held],  # type: ignore[attr-defined]
            ack_deadline_seconds=0,
        )
    other = queues.open()
    [again] = queues.pull(other, 1)
    assert again.id == kept.id
    again.ack()
    assert queues.nothing_comes(other, after="backoff")
    other.close()


def test_a_queue_says_whether_its_service_still_answers(pubsub_project: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a consumer that hears nothing, which may be all right
    queues = provisioned(pubsub_project)
    with PubSubProxy(os.environ["PUBSUB_EMULATOR_HOST"]) as service:
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", service.host)
        queue, missing = PubSubQueue(queues.url), PubSubQueue(f"pubsub://{pubsub_project}/nowhere")
        queues.until(lambda: queue.trouble() == "")  # it may be slow to answer
        # When there is no subscription, or the service is gone, then it says so
        queues.until(lambda: "publisher provision" in missing.trouble())
    assert queue.trouble()
    queue.close()
    missing.close()


def test_a_stream_that_hears_nothing_is_opened_anew(pubsub_project: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a consumer whose stream has heard nothing for as long as may well be
    clock = Clock().of(monkeypatch, "transport.queues.pubsub.stream")
    queues = provisioned(pubsub_project)
    queue = PubSubQueue(queues.url)
    queue.pull(1, wait=0)
    assert queue._stream is not None
    first = queue._stream._stream
    assert queue.last_heard is None
    clock.move(SILENCE_SECONDS / 2)
    assert queue.pull(1, wait=0) == []
    assert queue._stream._stream is first
    # When it has heard nothing for longer, then it pulls by another stream, that works
    clock.move(SILENCE_SECONDS / 2)
    assert queue.pull(1, wait=0) == []
    assert queue._stream._stream not in (first, None)
    queue.publish([Message(b"", EVENT)])
    [delivery] = queues.pull(queue, 1)
    assert queue.last_heard is not None
    delivery.ack()
    queue.close()
