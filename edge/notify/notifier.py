"""Tells all receivers of a program; without receivers it does nothing, and costs nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from edge.notify.cloud_event import cloud_event
from edge.notify.news import News, of_receipt
from edge.notify.slack import slack

if TYPE_CHECKING:
    from edge.notify.lineage import Lineage
    from edge.notify.outbox import Outbox

SLACK = "slack+"
PATIENCE = 1.0  # seconds that the end of a program waits for what is left, for all receivers together
TOLD = ("rejected", "dead-lettered")  # statuses of receipts


class WrittenReceipt(Protocol):
    """What is needed of a receipt; its JSON is docs/receipt.schema.json."""

    @property
    def status(self) -> str: ...

    def to_json(self) -> str: ...


class Notifier:
    """`source`: the address of the bucket; `receivers`: their addresses; `key`: what messages are signed with.

    `lineage`: what every receipt goes to besides.
    """

    def __init__(
        self,
        source: str,
        receivers: Sequence[str] = (),
        key: bytes = b"",
        *,
        lineage: Lineage | None = None,
        pauses: Sequence[float] | None = None,
    ) -> None:
        self._lineage = lineage
        self._outboxes: list[tuple[Outbox, str]] = []
        if not receivers:
            return
        from edge.notify.outbox import PAUSES, Outbox  # here: it imports an HTTP client

        self._source = source if "://" in source else Path(source).absolute().as_uri()
        self._key = key
        self._outboxes = [
            (Outbox(url.removeprefix(SLACK), pauses=PAUSES if pauses is None else pauses), url) for url in receivers
        ]

    def __bool__(self) -> bool:
        """True where there is a receiver to tell."""
        return bool(self._outboxes)

    def tell(self, news: News) -> None:
        """Sends the message to every receiver, later. Returns at once, and never raises."""
        for outbox, url in self._outboxes:
            if url.startswith(SLACK):
                outbox.put(partial(slack, url.removeprefix(SLACK), news, self._source))
            else:
                outbox.put(partial(cloud_event, url, news, self._source, self._key))

    def receipt(self, receipt: WrittenReceipt, name: str) -> None:
        """Tells of a receipt that this program has created at `name`: receivers where a file has no predictions."""
        if self._lineage is not None:
            self._lineage.receipt(receipt)
        if self._outboxes and receipt.status in TOLD:
            news = of_receipt(json.loads(receipt.to_json()), name)
            if news is not None:
                self.tell(news)

    def close(self) -> None:
        """Sends what is left, for PATIENCE seconds at most, and drops the rest."""
        until = time.monotonic() + PATIENCE
        outboxes = [outbox for outbox, _ in self._outboxes]
        if self._lineage is not None:
            outboxes.append(self._lineage.outbox)
        for outbox in outboxes:
            outbox.end()
        for outbox in outboxes:
            outbox.join(max(0.0, until - time.monotonic()))

    def __enter__(self) -> Notifier:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()


NOBODY = Notifier("")
"""Of a program without receivers."""
