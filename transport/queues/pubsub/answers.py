"""Acks, nacks and extensions on their way to Pub/Sub: collected for a moment, sent as few calls.

They do not go through the stream that a message came by, so they outlive it: a stream may end while files are scored.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import defaultdict
from collections.abc import Callable

import structlog
from google.cloud.pubsub_v1 import SubscriberClient

from transport.queues.pubsub.errors import CALL_ERRORS, explained, retried

CALL_SECONDS = 20.0  # for one call with its retries; an answer that is later than the lease is worth nothing
_AT_ONCE = 1000  # ack ids per call: about 200 KB, where Pub/Sub takes 512
_GATHER_SECONDS = 0.01

log = structlog.get_logger()

_Answer = tuple[str, int | None]  # ack id, and the seconds of its extension (0: nack; None: ack)


class PendingAnswers:
    """Sends answers from a thread of its own; what could not be sent is logged, and its message comes again."""

    def __init__(self, client: SubscriberClient, subscription: str) -> None:
        self._client = client
        self._subscription = subscription
        self._waiting: queue.SimpleQueue[_Answer | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="pubsub-answers", daemon=True)
        self._thread.start()

    def ack(self, ack_id: str) -> None:
        self._waiting.put((ack_id, None))

    def nack(self, ack_id: str) -> None:
        self._waiting.put((ack_id, 0))

    def extend(self, ack_id: str, seconds: int) -> None:
        self._waiting.put((ack_id, seconds))

    def close(self) -> None:
        """Returns when all answers so far are sent, or have failed."""
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        going_on = True
        while going_on:
            answers = self._gather()
            if answers[-1] is None:
                going_on = False
            by_kind: dict[int | None, list[str]] = defaultdict(list)
            for answer in answers:
                if answer is not None:
                    by_kind[answer[1]].append(answer[0])
            # Extensions first, and acks last: of two answers to one message the more final one counts.
            for seconds in sorted(by_kind, key=lambda kind: -1 if kind is None else kind, reverse=True):
                self._send(seconds, by_kind[seconds])

    def _gather(self) -> list[_Answer | None]:
        """At least one answer, and those that follow closely; None, where it came, is the last."""
        answers = [self._waiting.get()]
        until = time.monotonic() + _GATHER_SECONDS
        while answers[-1] is not None and len(answers) < _AT_ONCE:
            try:
                answers.append(self._waiting.get(timeout=max(0.0, until - time.monotonic())))
            except queue.Empty:
                break
        return answers

    def _send(self, seconds: int | None, ack_ids: list[str]) -> None:
        request: dict[str, object] = {"subscription": self._subscription, "ack_ids": ack_ids}
        call: Callable[..., None] = self._client.acknowledge
        if seconds is not None:
            request["ack_deadline_seconds"] = seconds
            call = self._client.modify_ack_deadline
        try:
            call(request=request, retry=retried(CALL_SECONDS), timeout=CALL_SECONDS)
        except CALL_ERRORS as error:
            log.warning(
                "answers not sent",
                error=str(explained(error, self._subscription, "roles/pubsub.subscriber")),
                messages=len(ack_ids),
                consequence="these messages are delivered again",
            )
