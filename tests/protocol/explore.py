"""Runs the real commit code through every interleaving of its calls of the bucket.

A process is deterministic between two calls of the port: what it does next follows from the answers it has had. So a
process's state IS the list of its answers, and its next call is found by running the real code from the start against a
bucket that gives those answers and stops it at the next call. Each list is run once and remembered; the search itself
walks over small integers, a whole layer of worlds at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np

from ledger.names import Key
from ledger.receipt import Outcome, Status
from tests.protocol.delivery import FILE, OUTPUTS, AnsweringBucket, Call, Suspended, answer, deliver
from tests.protocol.worlds import BITS, DEAD, DONE, Column, Worlds, each
from transport.event import Generation

DELIVERIES = ((1, 0b01), (1, 0b01), (2, 0b10))  # generation and message: 1 is delivered twice at once, 2 once
RECEIPTS = {generation: Key(FILE, Generation(generation)).receipt for generation in (1, 2)}
Objects = Mapping[str, tuple[int, bytes, tuple[tuple[str, str], ...]]]  # name → generation, content, metadata


class Violation(AssertionError):
    """An invariant does not hold; the text says which."""


class Explorer:
    """The worlds that can be reached under one table of outcomes.

    Whatever happens to a bucket or to a list of answers is found out once, by the real code. Worlds are walked
    over many at a time, as columns of numbers.
    """

    def __init__(
        self,
        commit: ModuleType,
        outcomes: Mapping[Any, Status],
        crashes: int = 1,
        forms: tuple[str, str] = ("csv", "csv"),
    ) -> None:
        self._commit, self._forms, self._crashes = commit, forms, crashes
        self._outcomes = outcomes
        self._buckets: list[tuple[dict[str, Any], dict[str, int]]] = []
        self._bucket_ids: dict[Any, int] = {}
        self._histories: list[Any] = [None, None]  # DONE and DEAD have none
        self._history_ids: dict[Any, int] = {}
        self._calls: dict[int, Call | None] = {}
        self._steps: dict[tuple[int, int, int], tuple[int, int]] = {}
        self._replaced: dict[int, int] = {}
        first = self._bucket({FILE: (1, b"rows", ())}, {FILE: 1})
        fresh = [self._history(generation, False, []) for generation, _ in DELIVERIES]
        self._fresh = sorted(set(fresh))
        self._again = [self._history(generation, True, []) for generation, _ in DELIVERIES]
        start = [first, *fresh, 0, 0, 0, crashes]
        self.start = Worlds(*(np.array([part]) for part in start)).packed()

    def successors(self, packed: Column) -> tuple[Column, Column]:
        """Each world one step from one of these, and the place of that one; checks the invariants of every step."""
        worlds = Worlds.unpacked(packed)
        places: list[Column] = []
        after: list[Column] = []

        def add(which: Column, **changes: Any) -> None:
            """A step from some worlds; a change is a number, or a column for all the worlds."""
            columns = {
                n: c[which] if isinstance(c, np.ndarray) else np.full(which.sum(), c) for n, c in changes.items()
            }
            places.append(np.flatnonzero(which))
            after.append(worlds.where(which)._replace(**columns).packed())

        [replaced] = each(self._replace_input, worlds.bucket)
        add(worlds.replaced == 0, bucket=replaced, replaced=1)
        add(worlds.swapped == 0, swapped=1)
        for index, (generation, message) in enumerate(DELIVERIES):
            name, history = Worlds._fields[1 + index], worlds[1 + index]
            may = history != DONE
            if generation == 2:
                may &= worlds.replaced == 1
            if index == 1:
                may &= history != worlds.first
            dead = may & (history == DEAD)
            add(dead & (worlds.acked & message == 0), **{name: self._again[index]})
            alive = may & ~dead
            [calls] = each(lambda one: self._next_call(one) is not None, np.where(alive, history, self._fresh[0]))
            add(alive & (calls == 0), **{name: DONE}, acked=worlds.acked | message)
            calling = alive & (calls == 1)
            bucket, answered = np.zeros_like(history), np.zeros_like(history)
            bucket[calling], answered[calling] = each(
                self._step, worlds.bucket[calling], history[calling], worlds.swapped[calling] + 1, gives=2
            )
            add(calling, **{name: answered}, bucket=bucket)
            begun = alive & ~np.isin(history, self._fresh)
            add(begun & (worlds.crashes > 0), **{name: DEAD}, crashes=worlds.crashes - 1)
        return np.concatenate(places), np.concatenate(after)

    def search(self, most: int) -> int:
        """Looks at every reachable world; gives their number. Raises Violation, or RuntimeError beyond `most`."""
        seen = new = self.start
        while new.size:
            places, after = self.successors(new)
            self._check_ends(new, places)
            after = np.unique(after)
            known = np.minimum(np.searchsorted(seen, after), seen.size - 1)
            new = after[seen[known] != after]
            seen = np.sort(np.concatenate([seen, new]), kind="stable")
            if seen.size > most:
                raise RuntimeError(f"more than {most} worlds")
        return int(seen.size)

    def walk(self, ways: int, seed: int) -> None:
        """So many random ways from the start to an end."""
        choose = np.random.default_rng(seed)
        worlds = np.repeat(self.start, ways)
        while worlds.size:
            places, after = self.successors(worlds)
            self._check_ends(worlds, places)
            order = choose.permutation(places.size)
            _, chosen = np.unique(places[order], return_index=True)
            worlds = after[order][chosen]

    def _check_ends(self, packed: Column, places: Column) -> None:
        """Checks those of the worlds that no step leads out of; `places` are those of the others."""
        quiet = np.ones(packed.size, bool)
        quiet[places] = False
        ends = Worlds.unpacked(packed[quiet])
        for bucket, crashes in set(zip(ends.bucket.tolist(), ends.crashes.tolist(), strict=True)):
            self.check_end(bucket, crashes)

    def check_end(self, bucket: int, crashes: int) -> None:
        """What must hold when nothing more can happen; `crashes`: those that could have been and were not."""
        objects = self._buckets[bucket][0]
        receipts = {g: _receipt(objects, g) for g in (1, 2)}
        for generation, receipt in receipts.items():
            if receipt is None:
                raise Violation(f"generation {generation} is lost: it has no receipt")
        scored = [g for g, receipt in receipts.items() if receipt and receipt.status is Status.SCORED]
        newest = max(scored, default=None)
        standing = _output(objects)
        if (standing[0] if standing else None) != newest:
            raise Violation("the output is not that of the newest generation that was scored")
        # A copy of the claim that was begun before all others were done, and whose writer then died, goes unseen.
        if crashes == self._crashes and sum(name in objects for name in OUTPUTS) > 1:
            raise Violation("an output stands in two forms")
        if crashes and any(Key(FILE, Generation(g)).claim in objects for g in (1, 2)):
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
                bucket = AnsweringBucket(answers)
                deliver(self._commit, bucket, generation, redelivered, self._outcomes, self._forms)
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


def check_step(before: Objects, after: Objects, counters: Mapping[str, int]) -> None:
    """What must hold after every single call (docs/design.md, invariants 1, 2 and 10)."""
    was, now = _output(before), _output(after)
    for generation, name in RECEIPTS.items():
        if name in before and before.get(name) != after.get(name):
            raise Violation("a receipt has changed")
        receipt = _receipt(after, generation)
        if receipt and receipt.status is Status.SCORED:
            if now is None or f"published {generation}" not in counters:
                raise Violation("a receipt says `scored` before its output stands")
            if now[0] == generation and now[1] != receipt.sha256:
                raise Violation("a receipt and its output disagree")
    if was and (now is None or now[0] < was[0]):
        raise Violation("an older generation's output took the place of a newer one's")
    if was and now and was[0] == now[0] and was != now:
        raise Violation("a generation's output was written twice")


def _receipt(objects: Objects, generation: int) -> Outcome | None:
    found = objects.get(RECEIPTS[generation])
    return None if found is None else _parsed(found[1])


_parsed_receipts: dict[bytes, Outcome] = {}


def _parsed(content: bytes) -> Outcome:
    if content not in _parsed_receipts:
        _parsed_receipts[content] = Outcome.from_json(content)
    return _parsed_receipts[content]


def _output(objects: Objects) -> tuple[int, str, int] | None:
    """Source generation, predictions, and the output's own generation; of the newer where it stands in two forms."""
    standing = [objects[name] for name in OUTPUTS if name in objects]
    found = [(int(dict(of[2])["source-generation"]), of[1].decode(), of[0]) for of in standing]
    return max(found, default=None)


def _intern(ids: dict[Any, int], values: list[Any], key: Any, value: Any) -> int:
    if key not in ids:
        ids[key] = len(values)
        values.append(value)
        assert len(values) < 1 << BITS.bucket, "more than a packed world has room for: raise BITS"
    return ids[key]
