"""Runs the real commit code through every interleaving of its calls of the bucket.

A process is deterministic between two calls of the port: what it does next follows from the answers it has had. So a
process's state IS the list of its answers, and its next call is found by running the real code from the start against a
bucket that gives those answers and stops it at the next call. Each list is run once and remembered; the search itself
walks over small integers.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from types import ModuleType
from typing import Any, NamedTuple

from ledger.names import Key
from ledger.receipt import ModelUsed, Outcome, Source, Status
from transport.bucket import ABSENT, ObjectInfo, ObjectNotFound, PreconditionFailed
from transport.event import Generation

FILE = "flights.csv"
DELIVERIES = ((1, 0b01), (1, 0b01), (2, 0b10))  # generation and message: 1 is delivered twice at once, 2 once
OUTPUT = Key(FILE, Generation(1)).output
Call = tuple[Any, ...]
Objects = Mapping[str, tuple[int, bytes, tuple[tuple[str, str], ...]]]  # name → generation, content, metadata


class Suspended(BaseException):
    """The code wants this call answered."""

    def __init__(self, call: Call) -> None:
        self.call = call


class AnsweringBucket:
    """The port, as the commit code sees it: each call takes the next answer, the first without one suspends."""

    name = "bucket"

    def __init__(self, answers: list[Any]) -> None:
        self._answers = iter(answers)

    def _ask(self, *call: Any) -> Any:
        try:
            answer = next(self._answers)
        except StopIteration:
            raise Suspended(call) from None
        if isinstance(answer, type) and issubclass(answer, Exception):
            raise answer(f"{call}")
        return answer

    def in_force(self) -> int:
        version: int = self._ask("in_force")
        return version

    def stat(self, name: str) -> ObjectInfo | None:
        return _info(name, self._ask("stat", name))

    @contextmanager
    def read(self, name: str, generation: int | None = None) -> Iterator[Any]:
        yield _Stream(self._ask("read", name, generation))

    @contextmanager
    def write(self, name: str, *, if_generation: int | None = None, metadata: Any = None, **_: Any) -> Iterator[Any]:
        writer = _Writer()
        yield writer
        given = tuple(sorted((metadata or {}).items()))
        writer.info = _info(name, self._ask("write", name, if_generation, bytes(writer.content), given))

    def copy(
        self,
        source: str,
        source_generation: int,
        target: str,
        *,
        if_generation: int | None = None,
        metadata: Any = None,
        **_: Any,
    ) -> ObjectInfo | None:
        content = self._ask("read", source, source_generation)
        given = tuple(sorted((metadata or {}).items()))
        return _info(target, self._ask("write", target, if_generation, content, given))

    def delete(self, name: str, *, if_generation: int | None = None) -> bool:
        assert if_generation is None
        gone: bool = self._ask("delete", name)
        return gone


class _Writer:
    info: ObjectInfo | None = None

    def __init__(self) -> None:
        self.content = bytearray()

    def write(self, data: bytes) -> int:
        self.content += data
        return len(data)


class _Stream:
    def __init__(self, content: bytes) -> None:
        self._content = content

    def read(self) -> bytes:
        return self._content


def _info(name: str, answer: Any) -> ObjectInfo | None:
    if answer is None:
        return None
    generation, size, metadata = answer
    return ObjectInfo(name, generation, size, 0.0, dict(metadata))


def answer(objects: dict[str, Any], counters: dict[str, int], version: int, call: Call) -> Any:
    """Carries a call out on the bucket (changed in place) and gives its answer, an exception's class for a raise."""
    kind, *rest = call
    if kind == "in_force":
        return version
    name = rest[0]
    standing = objects.get(name)
    if kind == "stat":
        return None if standing is None else (standing[0], len(standing[1]), standing[2])
    if kind == "read":
        if standing is None or rest[1] not in (None, standing[0]):
            return ObjectNotFound
        return standing[1]
    if kind == "delete":
        return objects.pop(name, None) is not None
    _, if_generation, content, metadata = rest
    if if_generation is not None and if_generation != (standing[0] if standing else ABSENT):
        return PreconditionFailed
    counters[name] = counters.get(name, 0) + 1
    objects[name] = (counters[name], content, metadata)
    if name == OUTPUT:
        counters[f"published {dict(metadata)['source-generation']}"] = 1
    return (counters[name], len(content), metadata)


def deliver(
    commit: ModuleType, bucket: Any, generation: int, redelivered: bool, outcomes: Mapping[Any, Status]
) -> None:
    """One delivery, as the worker handles it; the file's outcome depends on its generation and the model in force."""
    key = Key(FILE, Generation(generation))

    def score() -> Any:
        version = bucket.in_force()
        begun = Outcome(Status.SUPERSEDED, Source("bucket", FILE, generation))
        used = ModelUsed("airline", str(version), "run")
        try:
            with bucket.read(FILE, generation) as stream:
                stream.read()
        except ObjectNotFound:
            return commit.claim_outcome(bucket, begun)
        status = outcomes[generation, version]
        if status is not Status.SCORED:
            return commit.claim_outcome(bucket, replace(begun, status=status, model=used))
        predictions = f"{generation} by {version}"
        scored = replace(begun, status=status, model=used, sha256=predictions, output=key.output)
        try:
            with commit.open_claim(bucket, key, commit.claim_metadata(scored)) as claim:
                claim.write(predictions.encode())
        except PreconditionFailed:
            return None
        return claim.info

    commit.settle(bucket, key, score, look_for_claim=redelivered)


class World(NamedTuple):
    """All there is: the bucket (an id), each delivery's answers (an id; DONE, DEAD), and what may still happen.

    The first two are deliveries of one message, and sorted: which of them is which makes no difference. `acked` has a
    bit per message.
    """

    bucket: int
    first: int
    second: int
    third: int
    acked: int
    replaced: bool
    version: int
    crashes: int


DONE, DEAD = -1, -2


class Violation(AssertionError):
    """An invariant does not hold; the text says which."""


class Explorer:
    """The worlds that can be reached under one table of outcomes."""

    def __init__(self, commit: ModuleType, outcomes: Mapping[Any, Status], crashes: int = 1) -> None:
        self._commit = commit
        self._outcomes = outcomes
        self._buckets: list[tuple[dict[str, Any], dict[str, int]]] = []
        self._bucket_ids: dict[Any, int] = {}
        self._histories: list[tuple[int, bool, list[Any]]] = []
        self._history_ids: dict[Any, int] = {}
        self._calls: dict[int, Call | None] = {}
        self._steps: dict[tuple[int, int, int], tuple[int, int]] = {}
        self._replaced: dict[int, int] = {}
        first = self._bucket({FILE: (1, b"rows", ())}, {FILE: 1})
        fresh = [self._history(generation, False, []) for generation, _ in DELIVERIES]
        self._fresh = set(fresh)
        self._again = [self._history(generation, True, []) for generation, _ in DELIVERIES]
        self.start = World(first, *fresh, acked=0, replaced=False, version=1, crashes=crashes)

    def successors(self, world: World) -> Iterator[World]:
        """Each world one step away; checks the invariants of every step."""
        bucket, _, _, _, acked, replaced, version, crashes = world
        if not replaced:
            yield world._replace(bucket=self._replace_input(bucket), replaced=True)
        if version == 1:
            yield world._replace(version=2)
        for index, (generation, message) in enumerate(DELIVERIES):
            history = world[1 + index]
            if history == DONE or (generation == 2 and not replaced) or (index == 1 and history == world.first):
                continue
            if history == DEAD:
                if not acked & message:
                    yield _with(world, index, self._again[index])
                continue
            if self._next_call(history) is None:
                yield _with(world, index, DONE, acked=acked | message)
            else:
                after_bucket, after = self._step(bucket, history, version)
                yield _with(world, index, after, bucket=after_bucket)
            if crashes and history not in self._fresh:
                yield _with(world, index, DEAD, crashes=crashes - 1)

    def search(self, most: int) -> int:
        """Walks every reachable world; gives their number. Raises Violation, or RuntimeError beyond `most` worlds."""
        seen = {self.start}
        todo = [self.start]
        while todo:
            world = todo.pop()
            quiet = True
            for after in self.successors(world):
                quiet = False
                if after not in seen:
                    seen.add(after)
                    todo.append(after)
            if quiet:
                self.check_end(world)
            if len(seen) > most:
                raise RuntimeError(f"more than {most} worlds")
        return len(seen)

    def walk(self, choose: random.Random) -> None:
        """One random way from the start to an end."""
        world = self.start
        while after := list(self.successors(world)):
            world = choose.choice(after)
        self.check_end(world)

    def check_end(self, world: World) -> None:
        """What must hold when nothing more can happen."""
        objects = self._buckets[world.bucket][0]
        receipts = {g: _receipt(objects, g) for g in (1, 2)}
        for generation, receipt in receipts.items():
            if receipt is None:
                raise Violation(f"generation {generation} is lost: it has no receipt")
        scored = [g for g, receipt in receipts.items() if receipt and receipt.status is Status.SCORED]
        newest = max(scored, default=None)
        standing = _output(objects)
        if (standing[0] if standing else None) != newest:
            raise Violation("the output is not that of the newest generation that was scored")
        if world.crashes and any(Key(FILE, Generation(g)).claim in objects for g in (1, 2)):
            raise Violation("a claim is left behind although nobody crashed")

    def _step(self, bucket: int, history: int, version: int) -> tuple[int, int]:
        known = self._steps.get((bucket, history, version))
        if known is None:
            objects, counters = (dict(part) for part in self._buckets[bucket])
            call = self._calls[history]
            assert call is not None
            got = answer(objects, counters, version, call)
            check_step(self._buckets[bucket][0], objects, counters)
            generation, redelivered, answers = self._histories[history]
            after = self._history(generation, redelivered, [*answers, got])
            known = self._steps[bucket, history, version] = self._bucket(objects, counters), after
        return known

    def _next_call(self, history: int) -> Call | None:
        if history not in self._calls:
            generation, redelivered, answers = self._histories[history]
            try:
                deliver(self._commit, AnsweringBucket(answers), generation, redelivered, self._outcomes)
                self._calls[history] = None
            except Suspended as suspended:
                self._calls[history] = suspended.call
        return self._calls[history]

    def _replace_input(self, bucket: int) -> int:
        if bucket not in self._replaced:
            objects, counters = (dict(part) for part in self._buckets[bucket])
            objects[FILE], counters[FILE] = (2, b"other rows", ()), 2
            self._replaced[bucket] = self._bucket(objects, counters)
        return self._replaced[bucket]

    def _bucket(self, objects: dict[str, Any], counters: dict[str, int]) -> int:
        key = (tuple(sorted(objects.items())), tuple(sorted(counters.items())))
        return _intern(self._bucket_ids, self._buckets, key, (objects, counters))

    def _history(self, generation: int, redelivered: bool, answers: list[Any]) -> int:
        key = (generation, redelivered, tuple(answers))
        return _intern(self._history_ids, self._histories, key, (generation, redelivered, answers))


def _with(world: World, index: int, history: int, **changes: int) -> World:
    """The world after a step of one delivery."""
    bucket, first, second, third, acked, replaced, version, crashes = world
    if index == 0:
        first = history
    elif index == 1:
        second = history
    else:
        third = history
    if first > second:
        first, second = second, first
    return World(
        changes.get("bucket", bucket),
        first,
        second,
        third,
        changes.get("acked", acked),
        replaced,
        version,
        changes.get("crashes", crashes),
    )


def check_step(before: Objects, after: Objects, counters: Mapping[str, int]) -> None:
    """What must hold after every single call (docs/design.md, invariants 1, 2 and 10)."""
    for generation in (1, 2):
        name = Key(FILE, Generation(generation)).receipt
        if name in before and before.get(name) != after.get(name):
            raise Violation("a receipt has changed")
        receipt, standing = _receipt(after, generation), _output(after)
        if receipt and receipt.status is Status.SCORED:
            if standing is None or f"published {generation}" not in counters:
                raise Violation("a receipt says `scored` before its output stands")
            if standing[0] == generation and standing[1] != receipt.sha256:
                raise Violation("a receipt and its output disagree")
    was, now = _output(before), _output(after)
    if was and (now is None or now[0] < was[0]):
        raise Violation("an older generation's output took the place of a newer one's")
    if was and now and was[0] == now[0] and was != now:
        raise Violation("a generation's output was written twice")


def _receipt(objects: Objects, generation: int) -> Outcome | None:
    found = objects.get(Key(FILE, Generation(generation)).receipt)
    return None if found is None else _parsed(found[1])


_parsed_receipts: dict[bytes, Outcome] = {}


def _parsed(content: bytes) -> Outcome:
    if content not in _parsed_receipts:
        _parsed_receipts[content] = Outcome.from_json(content)
    return _parsed_receipts[content]


def _output(objects: Objects) -> tuple[int, str, int] | None:
    """Source generation, predictions, and the output's own generation."""
    found = objects.get(OUTPUT)
    if found is None:
        return None
    return int(dict(found[2])["source-generation"]), found[1].decode(), found[0]


def _intern(ids: dict[Any, int], values: list[Any], key: Any, value: Any) -> int:
    if key not in ids:
        ids[key] = len(values)
        values.append(value)
    return ids[key]
