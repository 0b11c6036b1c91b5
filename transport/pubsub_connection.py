"""A client of Pub/Sub whose streaming pulls end in order: what was sent is read, then the server ends the stream.

The library cancels the call instead. What the server has on its way is lost then, and waits for its lease to run out;
and the Pub/Sub emulator (0.8.20) does not notice a cancelled stream at all: it goes on sending messages into it.
"""

from __future__ import annotations

import threading
from typing import Any

from google.cloud.pubsub_v1 import SubscriberClient

ORDERLY_SECONDS = 2.0  # for the server to end the stream; then it is cancelled after all


class _OrderlyCall:
    """A streaming pull as the library holds it. After `cancel` it ends the requests, which is the half-close."""

    def __init__(self, call: Any) -> None:
        self._call = call

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)

    def __next__(self) -> Any:
        return next(self._call)

    def cancel(self) -> None:
        timer = threading.Timer(ORDERLY_SECONDS, self._call.cancel)
        timer.daemon = True
        timer.start()


def connect() -> SubscriberClient:
    """A client for calls and streams. Raises google.auth's errors where there are no credentials."""
    client = SubscriberClient()
    start = client.streaming_pull
    client.streaming_pull = lambda *arguments, **settings: _OrderlyCall(start(*arguments, **settings))
    return client
