"""A client of Pub/Sub whose streaming pulls end in order: what was sent is read, then the server ends the stream.

The library cancels the call instead. What the server has on its way is lost then, and waits for its lease to run out;
and the Pub/Sub emulator (0.8.20) does not notice a cancelled stream at all: it goes on sending messages into it. Nor
does the library read on once it was told to end: it takes one more answer at most, and a client that is closed then
cancels what has not ended.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from google.api_core.exceptions import GoogleAPICallError
from google.cloud.pubsub_v1 import SubscriberClient

ORDERLY_SECONDS = 2.0  # for the server to end the stream; then it is cancelled after all
_ENDS = (StopIteration, GoogleAPICallError)


class _OrderlyCall:
    """A streaming pull as the library holds it. After `cancel` it ends the requests, which is the half-close."""

    def __init__(self, call: Any) -> None:
        self._call = call
        self._reading = threading.Lock()
        self.is_ending = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)

    def __next__(self) -> Any:
        """The next answer; once the call ends, all that are left in one: the library gives those messages back."""
        with self._reading:
            answer = next(self._call)
            with suppress(*_ENDS):
                while self.is_ending:
                    answer._pb.received_messages.extend(next(self._call)._pb.received_messages)
            return answer

    def cancel(self) -> None:
        self.is_ending = True
        timer = threading.Timer(ORDERLY_SECONDS, self._call.cancel)
        timer.daemon = True
        timer.start()

    def read_to_its_end(self) -> None:
        """Returns when the server has ended it, or it was cancelled after all."""
        with self._reading, suppress(*_ENDS):
            while True:
                next(self._call)


def connect() -> SubscriberClient:
    """A client for calls and streams. Raises google.auth's errors where there are no credentials."""
    client = SubscriberClient()
    start, close = client.streaming_pull, client.close
    calls: list[_OrderlyCall] = []

    def streaming_pull(*arguments: Any, **settings: Any) -> _OrderlyCall:
        calls[:] = [call for call in calls if call.is_active()]
        calls.append(_OrderlyCall(start(*arguments, **settings)))
        return calls[-1]

    client.streaming_pull = streaming_pull
    client.close = _after_the_ends(calls, close)
    return client


def _after_the_ends(calls: list[_OrderlyCall], close: Callable[[], None]) -> Callable[[], None]:
    def closed() -> None:
        for call in calls:
            if call.is_ending:
                call.read_to_its_end()
        close()

    return closed
