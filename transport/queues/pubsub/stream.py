"""A streaming pull that stays up: opened when first asked for, opened again when it ends, read through a buffer.

The client's flow control counts messages from their arrival to their ack, and stops reading at its limit until a fifth
of it is free again; what the server sends meanwhile lies unread while its lease runs out. Where scoring takes minutes
that would use up the attempts of messages that no worker has seen. So the client manages, and extends, what lies in the
buffer only; what was handed out is released from it and is its holder's to extend. The server counts on, up to
`capacity` unanswered messages a stream: when all of them are handed out and nothing comes, a new stream takes over.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from typing import Any

import structlog
from google.cloud.pubsub_v1 import SubscriberClient
from google.cloud.pubsub_v1.subscriber.message import Message as PulledMessage
from google.cloud.pubsub_v1.subscriber.scheduler import ThreadScheduler
from google.cloud.pubsub_v1.types import FlowControl

from transport.queues.pubsub.errors import explained

SILENCE_SECONDS = 300.0  # without a message, after which a stream that should hear them is opened again
QUIET_SECONDS = 0.25  # without a message, after which a stream whose places are all taken is replaced
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0  # seconds before a stream that ended is opened again
LONGEST_IN_BUFFER = 3600.0  # seconds that the client extends the lease of a message in the buffer
CLOSE_SECONDS = 20.0
SUBSCRIBER = "roles/pubsub.subscriber"

log = structlog.get_logger()


class _Stream:
    """One streaming pull, and how many of its messages are handed out and not yet answered."""

    def __init__(self, capacity: int, opened: float) -> None:
        self.capacity = capacity
        self.held = 0
        self.heard = opened
        self.future: Any = None


class Received:
    """A message that a worker holds. The queue calls `answered` when the message is acked or nacked."""

    def __init__(self, message: PulledMessage, stream: _Stream, lock: threading.Condition) -> None:
        self.message = message
        self._stream: _Stream | None = stream
        self._lock = lock

    def answered(self) -> bool:
        """Frees its place in the stream; False where that has happened before."""
        with self._lock:
            if self._stream is None:
                return False
            self._stream.held -= 1
            self._stream = None
            return True

    @property
    def is_answered(self) -> bool:
        return self._stream is None


class PullStream:
    """The messages of one subscription. `lease` (seconds, 10 to 600) is kept up for what waits in the buffer.

    `give_back` is called with the ack id of each message that `close` finds in the buffer.
    """

    def __init__(
        self, client: SubscriberClient, subscription: str, lease: float, give_back: Callable[[str], None]
    ) -> None:
        self._client = client
        self._give_back = give_back
        self._subscription = subscription
        self._lease = lease
        self._changed = threading.Condition()
        self._buffer: deque[tuple[PulledMessage, _Stream]] = deque()
        self._stream: _Stream | None = None
        self._retired: list[_Stream] = []
        self._failures = 0
        self._not_before = 0.0
        self._closed = False
        self.last_heard: float | None = None  # seconds since 1970

    def take(self, max_messages: int, wait: float) -> list[Received]:
        """Up to `max_messages`, at least one if it comes within `wait` seconds; nothing while the stream is down."""
        give_up = time.monotonic() + wait
        with self._changed:
            while not self._closed:
                self._tend(max_messages)
                if self._buffer:
                    return [self._hand_out() for _ in range(min(max_messages, len(self._buffer)))]
                remaining = give_up - time.monotonic()
                if remaining <= 0:
                    break
                self._changed.wait(min(remaining, QUIET_SECONDS))
        return []

    def close(self) -> None:
        """Ends the stream, and then gives back what lies in the buffer, so that it does not come here again."""
        with self._changed:
            self._closed = True
            streams = [*self._retired, *([self._stream] if self._stream else [])]
            self._changed.notify_all()
        for stream in streams:
            stream.future.cancel()
        wait_for([stream.future for stream in streams], timeout=CLOSE_SECONDS)
        for message, _ in self._buffer:
            self._give_back(message.ack_id)

    def _tend(self, asked: int) -> None:
        """Sees to it that there is a stream from which `asked` messages may come. Under the lock."""
        now = time.monotonic()
        self._retired = [stream for stream in self._retired if not stream.future.done()]
        stream = self._stream
        if stream is not None and stream.future.done():
            self._ended(stream, now)
        elif stream is not None and not self._buffer:
            quiet = now - stream.heard
            full = stream.held >= stream.capacity and quiet > QUIET_SECONDS
            if full or (stream.held == 0 and quiet > SILENCE_SECONDS):
                stream.future.cancel()
                self._retired.append(stream)
                self._stream = None
        if self._stream is None and now >= self._not_before:
            self._stream = self._open(asked, now)

    def _open(self, asked: int, now: float) -> _Stream:
        # A little more than was asked for, so that the next message is here when a scorer becomes free.
        stream = _Stream(asked + asked // 4 + 1, now)
        stream.future = self._client.subscribe(
            self._subscription,
            callback=self._into_buffer_of(stream),
            flow_control=FlowControl(
                max_messages=stream.capacity,
                # Exactly the lease: the client would else learn from the times to ack, and begin with a minute.
                min_duration_per_lease_extension=self._lease,
                max_duration_per_lease_extension=self._lease,
                max_lease_duration=LONGEST_IN_BUFFER,
            ),
            scheduler=ThreadScheduler(ThreadPoolExecutor(1, thread_name_prefix="pubsub-pull")),
            await_callbacks_on_shutdown=True,
        )
        stream.future.add_done_callback(self._wake)
        return stream

    def _into_buffer_of(self, stream: _Stream) -> Callable[[PulledMessage], None]:
        def receive(message: PulledMessage) -> None:
            with self._changed:
                self._buffer.append((message, stream))
                self._failures = 0
                stream.heard = time.monotonic()
                self.last_heard = time.time()
                self._changed.notify_all()

        return receive

    def _hand_out(self) -> Received:
        message, stream = self._buffer.popleft()
        message.drop()
        stream.held += 1
        return Received(message, stream, self._changed)

    def _ended(self, stream: _Stream, now: float) -> None:
        # What it had in the buffer is no longer extended, and comes again.
        self._buffer = deque(entry for entry in self._buffer if entry[1] is not stream)
        self._stream = None
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(self._failures, 10)) * random.uniform(0.5, 1.0)  # noqa: S311
        self._failures += 1
        self._not_before = now + pause
        error = stream.future.exception(timeout=0)
        log.warning(
            "pull stream ended",
            error=str(explained(error or ConnectionError("it was cancelled"), self._subscription, SUBSCRIBER)),
            opened_again_in=round(pause, 1),
        )

    def _wake(self, _future: object) -> None:
        with self._changed:
            self._changed.notify_all()
