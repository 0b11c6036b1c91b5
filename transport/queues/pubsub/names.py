"""What the topics and subscriptions of one queue are called: the adapter uses them, the publisher provisions them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from transport.queue import QueueError

SCHEME = "pubsub://"
PROVISION = "python -m publisher provision"  # the command that makes all of them

_URL = re.compile(rf"{SCHEME}(?P<project>[^/]+)/(?P<topic>[A-Za-z][\w.~+%-]{{2,200}})")


@dataclass(frozen=True)
class Names:
    """The four resources behind the queue `pubsub://project/topic`, as full resource names."""

    project: str
    topic_id: str

    @classmethod
    def parse(cls, url: str) -> Names:
        """The names behind a URL. Raises QueueError where it is none."""
        match = _URL.fullmatch(url)
        if match is None:
            raise QueueError(
                f"QUEUE is {url!r}: a queue of Pub/Sub is written {SCHEME}project/topic,"
                " and a topic begins with a letter and has 3 to 200 letters, digits and -._~+%"
            )
        return cls(match["project"], match["topic"])

    @property
    def topic(self) -> str:
        return self._topic(self.topic_id)

    @property
    def subscription(self) -> str:
        """What the workers share."""
        return self._subscription(f"{self.topic_id}-workers")

    @property
    def dead_topic(self) -> str:
        """Where Pub/Sub puts what was delivered too often."""
        return self._topic(f"{self.topic_id}-dead")

    @property
    def dead_subscription(self) -> str:
        """What the publisher drains into receipts."""
        return self._subscription(f"{self.topic_id}-dead-letters")

    def _topic(self, name: str) -> str:
        return f"projects/{self.project}/topics/{name}"

    def _subscription(self, name: str) -> str:
        return f"projects/{self.project}/subscriptions/{name}"


def project_of(queue_url: str) -> str:
    """The project that a queue lies in; empty where it lies in none, or the URL is wrong."""
    match = _URL.fullmatch(queue_url)
    return match["project"] if match else ""
