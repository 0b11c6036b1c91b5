"""How long an empty pull takes, and how soon others get what a consumer that closes had not handed out."""

from __future__ import annotations

import time

from tests.contract import queues as contract_queues
from tests.contract.queues import EVENT, EVERYWHERE_FOR_LONG, Queues
from tests.measure.figures import Figures
from transport.event import Message
from transport.queue import Queue

queues, queue = contract_queues.queues, contract_queues.queue


@EVERYWHERE_FOR_LONG
def test_an_empty_pull(queue: Queue, figures: Figures) -> None:
    queue.pull(1, wait=0)  # whatever is opened at the first pull
    started = time.monotonic()
    assert queue.pull(5, wait=0.3) == []
    figures.note("told to wait for 0.3 s", time.monotonic() - started, "s", at_least=0.25, at_most=5.0)


@EVERYWHERE_FOR_LONG
def test_after_a_close(queues: Queues, queue: Queue, figures: Figures) -> None:
    queue.publish([Message(b"", EVENT) for _ in range(20)])
    for delivery in queues.pull(queue, 2):
        delivery.ack()
    queue.close()
    closed_at = time.monotonic()
    for delivery in queues.pull(queues.open(), 18):
        delivery.ack()
    figures.note("another has the rest after", time.monotonic() - closed_at, "s", at_most=5.0)
