"""What every queue promises (transport.queue.Queue), whichever adapter it is."""

from __future__ import annotations

import threading
import time
from collections import Counter
from functools import partial

import pytest

from tests.contract.clock import Clock
from tests.contract.queues import (
    EVENT,
    EVERYWHERE,
    EVERYWHERE_FOR_A_WHILE,
    EVERYWHERE_FOR_LONG,
    EVERYWHERE_IN_ITS_TIME,
    Queues,
)
from transport.event import Message
from transport.queue import Delivery, Queue, QueueError


def messages(count: int, start: int = 0) -> list[Message]:
    return [
        Message(b"body %d" % number, {**EVENT, "objectId": f"{number}.csv"}) for number in range(start, start + count)
    ]


def names(deliveries: list[Delivery]) -> list[str]:
    return sorted(delivery.message.attributes["objectId"] for delivery in deliveries)


@EVERYWHERE
def test_a_published_message_is_pulled_once_and_gone_when_acked(queues: Queues, queue: Queue) -> None:
    assert queue.publish(messages(1)) == 1
    [delivery] = queues.pull(queue, 1)
    assert delivery.message == messages(1)[0]
    assert delivery.attempt == 1
    assert delivery.id
    delivery.ack()
    assert queues.nothing_comes(queue)
    assert queues.nothing_comes(queues.open(), queue)


@EVERYWHERE
def test_an_empty_queue_gives_nothing_and_waits_as_long_as_told(
    queues: Queues, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a clock that stands still, and a pull that is told to wait for an hour
    queue.pull(1, wait=0)  # whatever is opened at the first pull
    clock = Clock(stands=True).of(monkeypatch, "transport.queues.sqlite.queue", "transport.queues.pubsub.stream")
    found: list[list[Delivery]] = []
    thread = threading.Thread(target=lambda: found.append(list(queue.pull(5, wait=3600.0))))
    thread.start()
    # When it has looked again and again, then it waits; also when its time is nearly over
    queues.until(lambda: clock.looks >= 4, "looks at the clock")
    clock.move(3599.0)
    looks = clock.looks
    queues.until(lambda: clock.looks >= looks + 4, "looks at the clock")
    assert found == []
    # And when its time is over, then it gives nothing, and waits no longer
    clock.move(1.5)
    thread.join(queues.patience)
    assert found == [[]]
    assert queue.publish([]) == 0


@EVERYWHERE
def test_a_pull_that_waits_gets_what_is_published_meanwhile(queues: Queues, queue: Queue) -> None:
    found: list[Delivery] = []
    thread = threading.Thread(target=lambda: found.extend(queues.pull(queue, 1)))
    thread.start()
    queues.open().publish(messages(1))
    thread.join(timeout=queues.patience)
    assert names(found) == ["0.csv"]
    found[0].ack()


@EVERYWHERE
def test_bytes_and_attributes_arrive_as_they_were(queues: Queues, queue: Queue) -> None:
    odd = [
        Message(bytes(range(256)) * 4, {**EVENT, "objectId": "ünïcödé-日本語-😀.csv"}),
        Message(
            b"\x00", {**EVENT, "objectId": "with space #?%&'\"\\.csv", "empty": "", "number": "9223372036854775807"}
        ),
        Message("naïve".encode("utf-16"), {**EVENT, "objectId": "line\nbreak\ttab.csv", "a-b.c/d": "x" * 1000}),
        Message(b"x" * 1_000_000, {**EVENT, "objectId": "large.csv"}),
        Message(b"", {**EVENT, "objectId": "no-data.csv"}),
    ]
    assert queue.publish(odd) == len(odd)
    found = queues.pull(queue, len(odd))
    by_name = {delivery.message.attributes["objectId"]: delivery.message for delivery in found}
    assert by_name == {message.attributes["objectId"]: message for message in odd}
    for delivery in found:
        delivery.ack()


@EVERYWHERE_FOR_LONG
def test_a_batch_of_two_thousand_arrives_whole(queues: Queues, queue: Queue) -> None:
    # Given more messages than go into one call or transaction, out of an iterator
    assert queue.publish(iter(messages(2000))) == 2000
    # When they are pulled in batches, and acked as they come
    seen: Counter[str] = Counter()

    def all_seen() -> bool:
        for delivery in queue.pull(500, wait=0.5):
            seen[delivery.message.attributes["objectId"]] += 1
            delivery.ack()
        return len(seen) == 2000

    # Then each came once
    queues.until(all_seen, lambda: f"2000 messages, but {len(seen)}")
    assert set(seen.values()) == {1}


@EVERYWHERE
def test_a_pull_gives_no_more_than_was_asked_for(queues: Queues, queue: Queue) -> None:
    queue.publish(messages(10))
    for _ in range(5):
        assert len(queue.pull(3, wait=1.0)) <= 3


@EVERYWHERE
def test_any_number_may_be_in_hand_at_once(queues: Queues, queue: Queue) -> None:
    # Given a consumer that pulls two at a time and acks none of them yet
    queue.publish(messages(20))
    held: list[Delivery] = []

    def all_held() -> bool:
        held.extend(queue.pull(2, wait=0.5))
        for delivery in held:
            delivery.extend()
        return len(held) >= 20

    # Then it gets all of them, and may ack all of them
    queues.until(all_held, lambda: f"20 in hand, but {len(held)}")
    assert names(held) == names_of(20)
    for delivery in held:
        delivery.ack()
    assert queues.nothing_comes(queue)


def names_of(count: int) -> list[str]:
    return sorted(f"{number}.csv" for number in range(count))


@EVERYWHERE
def test_a_nacked_message_comes_again_with_the_next_attempt(queues: Queues, queue: Queue) -> None:
    queue.publish(messages(1))
    [first] = queues.pull(queue, 1)
    first.nack()
    [second] = queues.pull(queue, 1)
    assert (second.attempt, second.id, second.message) == (2, first.id, first.message)
    second.ack()


@EVERYWHERE
def test_a_nacked_message_goes_to_any_consumer(queues: Queues, queue: Queue) -> None:
    queue.publish(messages(1))
    [first] = queues.pull(queue, 1)
    first.nack()
    queue.close()
    [second] = queues.pull(queues.open(), 1)
    assert second.id == first.id
    assert second.attempt >= 2
    second.ack()


@EVERYWHERE_IN_ITS_TIME
def test_a_delivery_that_nobody_extends_comes_again(queues: Queues, queue: Queue) -> None:
    # Given two deliveries, of which one is acked, and the holder of the other does nothing about it
    queue.publish(messages(2))
    pulled_at = time.monotonic()
    acked, first = queues.pull(queue, 2)
    acked.ack()
    # When its lease has run out, then it is delivered again, as its second attempt
    [second] = queues.pull(queue, 1)
    assert time.monotonic() - pulled_at >= 0.9 * queues.policy.lease
    assert (second.attempt, second.id) == (2, first.id)
    # And the first holder's answers, which come too late, are no errors
    first.extend()
    first.ack()
    second.ack()
    assert queues.nothing_comes(queue, after="lease")


@EVERYWHERE_FOR_A_WHILE
def test_a_delivery_that_is_extended_stays_its_holders(queues: Queues, queue: Queue) -> None:
    # Given two deliveries, of which one is extended again and again and the other is not
    queue.publish(messages(2))
    held, left = queues.pull(queue, 2)
    other = queues.open()
    come: list[Delivery] = []

    def came_for_the_third_time() -> bool:
        held.extend()
        for consumer in (other, queue):
            come.extend(consumer.pull(10, wait=queues.policy.lease / 60))
        return any(delivery.attempt == 3 for delivery in come)

    # When two leases of the other have run out, one after the other
    queues.until(came_for_the_third_time, "a delivery whose lease ran out twice")
    # Then nobody got the one that is extended
    assert [(delivery.id, delivery.attempt) for delivery in come] == [(left.id, 2), (left.id, 3)]
    held.ack()
    come[-1].ack()
    assert queues.nothing_comes(other, queue)


@EVERYWHERE_IN_ITS_TIME
def test_what_was_delivered_too_often_is_a_dead_letter_with_its_source(queues: Queues, queue: Queue) -> None:
    # Given two messages, of which one is nacked in every delivery
    [poison, good] = messages(2)
    queue.publish([poison, good])
    attempts: list[int] = []
    while len(attempts) < queues.policy.max_delivery_attempts:
        [delivery] = queues.pull(queue, 1)
        if delivery.message == good:
            delivery.ack()
            continue
        attempts.append(delivery.attempt)
        delivery.nack()
    # Then its attempts were counted
    assert attempts == [1, 2, 3, 4, 5]
    # And it is pulled from the dead letters, with all its attributes and those that say where it came from
    dead_letters = queues.dead_letters()
    [dead] = queues.pull(dead_letters, 1)
    assert dead.message.data == poison.data
    assert dead.message.attributes.items() >= poison.attributes.items()
    added = {name: value for name, value in dead.message.attributes.items() if name not in poison.attributes}
    assert added["CloudPubSubDeadLetterSourceDeliveryCount"] == "5"
    assert added["CloudPubSubDeadLetterSourceSubscription"].endswith("workers")
    assert added["CloudPubSubDeadLetterSourceTopicPublishTime"].endswith("Z")
    # And there it can be given back, and acked, like any message
    dead.nack()
    [again] = queues.pull(dead_letters, 1)
    assert again.message == dead.message
    again.ack()
    assert queues.nothing_comes(dead_letters, after="lease")
    assert queues.nothing_comes(queue)


@EVERYWHERE_FOR_LONG
def test_many_consumers_get_each_message_once_while_their_leases_hold(queues: Queues, queue: Queue) -> None:
    # Given three consumers at once, none of which acks anything before all messages are in somebody's hand
    queue.publish(messages(60))
    held: list[Delivery] = []
    consumers = [queues.open() for _ in range(3)]

    def take_some(mine: Queue) -> bool:
        held.extend(mine.pull(5, wait=0.2))
        return len({delivery.id for delivery in held}) >= 60

    threads = [threading.Thread(target=queues.until, args=(partial(take_some, mine),)) for mine in consumers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Then each message came to one of them
    assert names(held) == names_of(60)
    for delivery in held:
        delivery.ack()
    assert queues.nothing_comes(queue, *consumers)


@EVERYWHERE
def test_one_thread_acks_what_another_pulled(queues: Queues, queue: Queue) -> None:
    queue.publish(messages(20))
    found = queues.pull(queue, 20)
    threads = [threading.Thread(target=delivery.ack) for delivery in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=queues.patience)
    assert names(found) == names_of(20)
    assert queues.nothing_comes(queues.open(), queue)


@EVERYWHERE
def test_answering_twice_is_no_error(queues: Queues, queue: Queue) -> None:
    queue.publish(messages(1))
    [delivery] = queues.pull(queue, 1)
    delivery.ack()
    delivery.ack()
    delivery.extend()
    delivery.nack()
    assert queues.nothing_comes(queue, after="backoff")


@EVERYWHERE_FOR_LONG
def test_closing_gives_back_what_was_not_handed_out(queues: Queues, queue: Queue) -> None:
    # Given a consumer that took two of many messages, and may have more lying ready, under leases that last for long
    queue.publish(messages(20))
    taken = queues.pull(queue, 2)
    for delivery in taken:
        delivery.ack()
    # When it is closed, then another gets the rest, long before a lease can have run out
    queue.close()
    assert queues.patience < queues.policy.lease
    rest = queues.pull(queues.open(), 18)
    assert names(taken + rest) == names_of(20)
    assert {delivery.attempt for delivery in rest} <= {1, 2}
    for delivery in rest:
        delivery.ack()


@EVERYWHERE
def test_a_closed_queue_gives_nothing_and_says_that_its_deliveries_come_again(queues: Queues, queue: Queue) -> None:
    queue.publish(messages(1))
    [delivery] = queues.pull(queue, 1)
    queue.close()
    queue.close()
    assert queue.pull(1, wait=0) == []
    with pytest.raises(QueueError, match="closed; what was pulled from it is delivered again"):
        delivery.ack()


@EVERYWHERE
def test_the_backlog_where_the_queue_knows_it(queues: Queues, queue: Queue) -> None:
    queue.publish(messages(5))
    held = queues.pull(queue, 2)
    backlog = queue.backlog()
    if backlog.waiting is None:
        assert (backlog.leased, backlog.dead, backlog.oldest_waiting_seconds) == (None, None, None)
    else:
        assert (backlog.waiting, backlog.leased, backlog.dead) == (3, 2, 0)
        assert backlog.oldest_waiting_seconds is not None
        assert 0 <= backlog.oldest_waiting_seconds < 60
    for delivery in held:
        delivery.ack()


@EVERYWHERE
def test_its_url_opens_it_again_and_its_policy_is_the_one_it_was_made_with(queues: Queues, queue: Queue) -> None:
    assert queue.url == queues.url
    assert queue.policy == queues.open().policy == queues.policy
    queue.verify()
    queues.dead_letters().verify()
    assert queues.nothing_comes(queue)  # verifying leaves nothing behind
