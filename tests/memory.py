"""An in-memory Bucket and Queue: the ports, whole, with a clock that a test can hold in its hand.

First-class test doubles, run by the contract suites like any other adapter. Thread-safe, one process only.
"""

from __future__ import annotations

import hashlib
import heapq
import io
import itertools
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import BinaryIO

from transport.bucket import ABSENT, LeftOut, ObjectInfo, ObjectNotFound, PreconditionFailed
from transport.event import Message
from transport.queue import Backlog, Delivery, Policy

Hook = Callable[[str, str], None]
"""Called with (operation, object name) before a step takes effect; may block, switch threads or raise."""


class Clock:
    """A clock that stands still until it is told to move: `clock()` is the time in seconds."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class MemoryBucket:
    """A bucket in memory. `clock` gives the seconds since 1970 that `ObjectInfo.created` shows.

    `hook` (also settable later) is called before every step: `objects`, `stat`, `read`, `write` (when the writer is
    opened), `commit` (just before the object becomes visible), `copy`, `delete`. Generations count up from 1.
    """

    checks_reads = False

    def __init__(
        self, name: str = "bucket", *, clock: Callable[[], float] = time.time, hook: Hook | None = None
    ) -> None:
        self._name = name
        self._clock = clock
        self.hook = hook
        self._objects: dict[str, tuple[ObjectInfo, bytes]] = {}
        self._generations = itertools.count(1)
        self._lock = threading.RLock()

    @property
    def name(self) -> str:
        return self._name

    @property
    def url(self) -> str:
        return f"memory://{self._name}"

    def objects(
        self,
        prefix: str = "",
        *,
        start: str = "",
        recursive: bool = True,
        without: Sequence[str] = (),
        left_out: LeftOut | None = None,
    ) -> Iterator[ObjectInfo]:
        self._step("objects", prefix)
        with self._lock:
            names = sorted(self._objects, key=str.encode)
        for name in names:
            if not name.startswith(prefix) or name.encode() < start.encode():
                continue
            if (not recursive and "/" in name[len(prefix) :]) or name.startswith(tuple(without)):
                continue
            with self._lock:
                standing = self._objects.get(name)
            if standing is not None:
                yield replace(standing[0], metadata={}, md5=None, crc32c=None)

    def stat(self, name: str) -> ObjectInfo | None:
        self._step("stat", name)
        with self._lock:
            standing = self._objects.get(name)
        return standing[0] if standing else None

    @contextmanager
    def read(self, name: str, generation: int | None = None) -> Iterator[BinaryIO]:
        self._step("read", name)
        yield io.BytesIO(self._content(name, generation))

    @contextmanager
    def write(
        self,
        name: str,
        *,
        if_generation: int | None = None,
        metadata: Mapping[str, str] | None = None,
        content_type: str = "application/octet-stream",
    ) -> Iterator[MemoryWriter]:
        self._step("write", name)
        writer = MemoryWriter()
        yield writer
        self._step("commit", name)
        writer.committed = self._commit(name, writer.content.getvalue(), if_generation, metadata)

    def copy(
        self,
        source: str,
        source_generation: int,
        target: str,
        *,
        if_generation: int | None = None,
        metadata: Mapping[str, str] | None = None,
        content_type: str = "application/octet-stream",
    ) -> ObjectInfo:
        self._step("copy", target)
        with self._lock:
            content = self._content(source, source_generation)
            return self._commit(target, content, if_generation, metadata)

    def delete(self, name: str, *, if_generation: int | None = None) -> bool:
        self._step("delete", name)
        with self._lock:
            self._check(name, if_generation)
            return self._objects.pop(name, None) is not None

    def sweep(self) -> int:
        return 0

    def verify(self) -> None:
        return

    def close(self) -> None:
        return

    def _step(self, operation: str, name: str) -> None:
        if self.hook is not None:
            self.hook(operation, name)

    def _content(self, name: str, generation: int | None) -> bytes:
        with self._lock:
            standing = self._objects.get(name)
        if standing is None or generation not in (None, standing[0].generation):
            raise ObjectNotFound(f"{self.url}/{name} has no generation {generation or '(any)'}")
        return standing[1]

    def _check(self, name: str, if_generation: int | None) -> None:
        standing = self._objects.get(name)
        generation = standing[0].generation if standing else ABSENT
        if if_generation is not None and if_generation != generation:
            raise PreconditionFailed(f"{self.url}/{name} is of generation {generation}, not {if_generation}")

    def _commit(
        self, name: str, content: bytes, if_generation: int | None, metadata: Mapping[str, str] | None
    ) -> ObjectInfo:
        with self._lock:
            self._check(name, if_generation)
            info = ObjectInfo(
                name=name,
                generation=next(self._generations),
                size=len(content),
                created=self._clock(),
                metadata=dict(metadata or {}),
                md5=hashlib.md5(content, usedforsecurity=False).hexdigest(),
            )
            self._objects[name] = (info, content)
            return info


@dataclass
class MemoryWriter:
    """What `MemoryBucket.write` gives."""

    content: io.BytesIO = field(default_factory=io.BytesIO)
    committed: ObjectInfo | None = None

    def write(self, data: bytes, /) -> int:
        return self.content.write(data)

    @property
    def info(self) -> ObjectInfo:
        assert self.committed is not None, "an object has no generation before its `with` block has ended"
        return self.committed


@dataclass
class _Held:
    """A message in the queue: `due` is when it may be delivered (again), `lease` numbers the delivery it is out on."""

    id: str
    message: Message
    published: float
    attempt: int = 0
    lease: int | None = None
    due: float = 0.0


class MemoryQueue:
    """A queue in memory. `clock` gives seconds; leases and back-offs follow it. `dead_letters` is a queue of its own.

    Several workers share one MemoryQueue, so `close` leaves it usable. A pull that waits does so in real time, and
    looks at its clock again when something is published or given back: with a `Clock` in hand pull with `wait=0`.
    """

    def __init__(
        self,
        policy: Policy | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        name: str = "queue",
        forwards: bool = True,
    ) -> None:
        self._policy = policy or Policy()
        self._clock = clock
        self._name = name
        self._held: dict[str, _Held] = {}
        self._numbers = itertools.count(1)
        self._leases = itertools.count(1)
        self._changed = threading.Condition()
        self._dead = MemoryQueue(self._policy, clock=clock, name=f"{name}-dead", forwards=False) if forwards else None

    @property
    def url(self) -> str:
        return f"memory://{self._name}"

    @property
    def policy(self) -> Policy:
        return self._policy

    def publish(self, messages: Iterable[Message]) -> int:
        count = 0
        with self._changed:
            for message in messages:
                id = f"{self._name}-{next(self._numbers)}"
                self._held[id] = _Held(id, message, published=self._clock(), due=self._clock())
                count += 1
            self._changed.notify_all()
        return count

    def pull(self, max_messages: int, wait: float) -> list[Delivery]:
        until = time.monotonic() + wait
        with self._changed:
            while True:
                self._expire()
                now = self._clock()
                due = [held for held in self._held.values() if held.lease is None and held.due <= now]
                taken: list[Delivery] = [
                    self._lease(held) for held in heapq.nsmallest(max_messages, due, key=lambda held: held.due)
                ]
                left = until - time.monotonic()
                if taken or left <= 0:
                    return taken
                later = [held.due - now for held in self._held.values() if held.due > now]
                self._changed.wait(min(left, *later) if later else left)

    def backlog(self) -> Backlog:
        with self._changed:
            self._expire()
            waiting = [held for held in self._held.values() if held.lease is None]
            return Backlog(
                waiting=len(waiting),
                leased=len(self._held) - len(waiting),
                dead=len(self._dead) if self._dead else 0,
                oldest_waiting_seconds=max((self._clock() - held.published for held in waiting), default=None),
            )

    def verify(self) -> None:
        return

    def close(self) -> None:
        return

    def __len__(self) -> int:
        """How many messages are in it, waiting or leased."""
        return len(self._held)

    @property
    def dead_letters(self) -> MemoryQueue:
        """What was delivered too often; it has no dead letters of its own."""
        assert self._dead is not None, "a queue of dead letters forwards nothing"
        return self._dead

    @property
    def messages(self) -> list[Message]:
        """What is in it, waiting or leased, in the order it was published."""
        with self._changed:
            return [held.message for held in self._held.values()]

    def _lease(self, held: _Held) -> MemoryDelivery:
        held.attempt += 1
        held.lease = next(self._leases)
        held.due = self._clock() + self._policy.lease
        return MemoryDelivery(self, held.message, held.id, held.attempt, held.lease)

    def _expire(self) -> None:
        now = self._clock()
        for held in [held for held in self._held.values() if held.lease is not None and held.due <= now]:
            self._give_back(held)

    def _give_back(self, held: _Held) -> None:
        if self._dead is not None and held.attempt >= self._policy.max_delivery_attempts:
            del self._held[held.id]
            self._dead.publish([_dead(held, self._name)])
            return
        held.lease = None
        held.due = self._clock() + min(self._policy.min_backoff * 2.0 ** (held.attempt - 1), self._policy.max_backoff)

    def _settle(self, delivery: MemoryDelivery, verb: str) -> None:
        with self._changed:
            self._expire()
            held = self._held.get(delivery.id)
            if held is None or held.lease != delivery.lease:
                return
            if verb == "ack":
                del self._held[held.id]
            elif verb == "nack":
                self._give_back(held)
            else:
                held.due = self._clock() + self._policy.lease
            self._changed.notify_all()


@dataclass(frozen=True)
class MemoryDelivery:
    """One delivery out of a MemoryQueue."""

    queue: MemoryQueue
    message: Message
    id: str
    attempt: int
    lease: int

    def ack(self) -> None:
        self.queue._settle(self, "ack")

    def nack(self) -> None:
        self.queue._settle(self, "nack")

    def extend(self) -> None:
        self.queue._settle(self, "extend")


def _dead(held: _Held, queue: str) -> Message:
    """The message as Pub/Sub forwards it: https://cloud.google.com/pubsub/docs/handling-failures#track_delivery_attempts"""
    return Message(
        held.message.data,
        {
            **held.message.attributes,
            "CloudPubSubDeadLetterSourceDeliveryCount": str(held.attempt),
            "CloudPubSubDeadLetterSourceSubscription": queue,
        },
    )
