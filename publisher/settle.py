"""Whether a file is still being written, and what was published lately. Pure: times come in as numbers."""

from __future__ import annotations

import heapq
from collections.abc import Iterable

from ledger.names import Key
from transport.bucket import ObjectInfo

HOUR = 3600.0


class Settling:
    """Tells when an object counts as complete: its generation and size have stood still for `settle` seconds.

    Normally the object's own time says so at the first look. Where that time lies in the future (another machine's
    clock), it is enough that the object was seen unchanged for as long. No more than `limit` objects are remembered;
    those beyond it are judged whenever they are looked at again.
    """

    def __init__(self, settle: float, limit: int = 10_000) -> None:
        self.settle = settle
        self._limit = limit
        self._seen: dict[str, tuple[int, int, float]] = {}  # name → generation, size, when it will be complete
        self._schedule: list[tuple[float, str]] = []  # a heap; entries of objects that changed since are harmless

    def wait(self, info: ObjectInfo, now: float, ticks: float) -> float:
        """Seconds until this object is complete if it changes no more; 0 where it is.

        `now` is the wall clock's time in seconds since 1970, `ticks` that of a clock that never jumps.
        """
        if self.settle <= 0:
            return 0.0
        due = ticks + min(info.created + self.settle - now, self.settle)
        generation, size, promised = self._seen.get(info.name, (0, 0, 0.0))
        unchanged = (generation, size) == (info.generation, info.size)
        if unchanged:
            due = min(due, promised)
        if due <= ticks:
            self.forget(info.name)
            return 0.0
        if info.name in self._seen or len(self._seen) < self._limit:
            self._seen[info.name] = (info.generation, info.size, due)
            if not unchanged or due < promised:
                heapq.heappush(self._schedule, (due, info.name))
        return due - ticks

    def forget(self, name: str) -> None:
        """The object is gone."""
        self._seen.pop(name, None)

    def next_due(self) -> float | None:
        """When (in ticks) the next object is to be looked at again; None where there is none."""
        return self._schedule[0][0] if self._schedule else None

    def last_due(self) -> float | None:
        """When (in ticks) all objects that are settling now will be complete; None where there is none."""
        return max((due for _, _, due in self._seen.values()), default=None)

    def take_due(self, ticks: float) -> list[str]:
        """The names to look at again now. Each is given once; the next full pass looks at one that was missed."""
        due = set()
        while self._schedule and self._schedule[0][0] <= ticks:
            name = heapq.heappop(self._schedule)[1]
            if name in self._seen:
                due.add(name)
        return sorted(due)

    def names(self) -> list[str]:
        """What is settling."""
        return sorted(self._seen)

    def keep(self, ticks: float, patience: float = 60.0) -> None:
        """Forgets objects that should have been complete `patience` seconds ago and were not looked at since."""
        for name in [name for name, (_, _, due) in self._seen.items() if due < ticks - patience]:
            self.forget(name)


class Recent:
    """What was published within the last hour and has no receipt yet, so that it is not published in every pass.

    Holds at most `limit` keys: while it is full nothing more is to be published (the queue is long enough as it is),
    so that memory does not grow with the backlog.
    """

    def __init__(self, seconds: float = HOUR, limit: int = 100_000) -> None:
        self._seconds = seconds
        self._limit = limit
        self._published: dict[str, float] = {}  # in the order of publishing; as text, which takes a fifth of a Key

    def add(self, keys: Iterable[Key], ticks: float) -> None:
        """These were published now."""
        for key in map(str, keys):
            self._published.pop(key, None)
            self._published[key] = ticks

    def drop(self, key: Key) -> None:
        """Its receipt was seen."""
        self._published.pop(str(key), None)

    def forget(self) -> None:
        """All that was published is lost."""
        self._published.clear()

    def holds(self, key: Key, ticks: float) -> bool:
        """Was it published within the hour before `ticks`?"""
        published = self._published.get(str(key))
        return published is not None and ticks - published < self._seconds

    def room(self, ticks: float) -> int:
        """How many more may be published now."""
        while self._published:
            oldest = next(iter(self._published))
            if ticks - self._published[oldest] < self._seconds:
                break
            del self._published[oldest]
        return self._limit - len(self._published)

    def __len__(self) -> int:
        return len(self._published)
