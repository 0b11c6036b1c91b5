"""The messages that wait for one receiver, and the thread that sends them. Nothing waits for it.

Each receiver has a thread of its own: one that is slow or away holds up no other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from threading import Condition, Event, Thread

import structlog

from edge import metrics
from edge.notify.post import Fate, Post, Reply, send, shown
from edge.trouble import Trouble

log = structlog.get_logger()

ROOM = 1000  # messages that may wait
PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0)  # seconds between attempts


class Outbox:
    """What is put in leaves in order, each message at most once; what finds no room is dropped and counted."""

    def __init__(self, url: str, *, room: int = ROOM, pauses: Sequence[float] = PAUSES) -> None:
        self.shown = shown(url)
        self._room, self._pauses = room, pauses
        self._waiting: deque[Callable[[], Post]] = deque()
        self._changed = Condition()
        self._under_way = False
        self._closing = Event()
        self._trouble = Trouble(f"notifications to {self.shown}")
        self._thread = Thread(target=self._run, daemon=True, name="notify")
        self._thread.start()

    def put(self, make: Callable[[], Post]) -> None:
        """Takes what `make` makes, in the outbox's own thread, to be sent. Returns at once; never raises."""
        with self._changed:
            if len(self._waiting) < self._room and not self._closing.is_set():
                self._waiting.append(make)
                self._changed.notify()
                return
        self._note(Reply(Fate.DROPPED, f"{self._room:,} messages wait already, or the program ends"))

    def end(self) -> None:
        """From now on nothing is taken, and each message that waits is sent once."""
        self._closing.set()
        with self._changed:
            self._changed.notify()

    def join(self, patience: float) -> None:
        """After `end`: waits at most `patience` seconds for what is left, and drops what is left then."""
        self._thread.join(patience)
        with self._changed:
            left = len(self._waiting) + self._under_way
            self._waiting.clear()
        if self._thread.is_alive() and left:
            metrics.NOTIFICATIONS.labels(self.shown, Fate.DROPPED).inc(left)
            log.warning("messages not sent", receiver=self.shown, messages=left, consequence="the program ends")

    def _run(self) -> None:
        while (make := self._next()) is not None:
            try:
                answer = self._deliver(make())
            except Exception as error:
                log.exception("message not made", receiver=self.shown)
                answer = Reply(Fate.DROPPED, type(error).__name__)
            self._note(answer)

    def _next(self) -> Callable[[], Post] | None:
        with self._changed:
            self._under_way = False
            self._changed.wait_for(lambda: self._waiting or self._closing.is_set())
            if not self._waiting:
                return None
            self._under_way = True
            return self._waiting.popleft()

    def _deliver(self, post: Post) -> Reply:
        answer = send(post)
        for pause in self._pauses:
            if answer.wait is None or self._closing.wait(max(pause, answer.wait)):
                break
            answer = send(post)
        return answer

    def _note(self, answer: Reply) -> None:
        """Counts a message, and logs what went wrong with it once for each cause."""
        metrics.NOTIFICATIONS.labels(self.shown, answer.fate).inc()
        if answer.fate is Fate.DELIVERED:
            self._trouble.over()
        elif self._trouble.is_new(RuntimeError(f"{answer.fate}: {answer.why}")):
            log.warning(
                "receiver not told",
                receiver=self.shown,
                fate=answer.fate.value,
                error=answer.why,
                consequence="the message is lost, unless the receiver took it; the work goes on",
            )
