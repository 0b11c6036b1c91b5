"""The reconciler: what lies in the bucket without a receipt, and was not published lately, becomes a message.

It keeps no state that matters: a publisher that was killed, runs twice or was started late still publishes what has no
receipt. A message too many costs a worker one look at a receipt.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import structlog

from edge import metrics, traces
from edge.not_inputs import REMEMBERED, NotInputs
from edge.notify.notifier import NOBODY, Notifier
from ledger.names import RECEIPTS, Key, looks_like_input, takes, why_no_input
from publisher.dead_letters import drain
from publisher.inputs import candidates, event_of, standings
from publisher.settle import Recent, Settling
from publisher.silence import Silence
from publisher.tidy import tidy
from transport.bucket import Bucket, BucketError, ObjectInfo
from transport.event import Generation
from transport.queue import Queue, QueueError, QueueMissing

BATCH = 1000  # messages per publish
STEP = 1000  # inputs compared between two chances for others to do something
REST = 0.005  # seconds that folders below the prefix are left alone, per object in them: at most a call per 5 s

log = structlog.get_logger()


@dataclass
class Pass:
    """What one pass found and did, in numbers of files."""

    inputs: int = 0
    answered: int = 0  # have the receipt of their present content
    published: int = 0
    oldest_unanswered: float | None = None  # when the oldest of the others was written, in seconds since 1970
    recent: int = 0  # published within the hour, no receipt yet
    settling: int = 0  # still being written, or not yet still for long enough
    held_back: int = 0  # not published, because too many are published and unanswered
    dead_letters: int = 0
    unusable: int = 0
    not_inputs: int = 0  # look like inputs, and are none; in folders only in passes that read these
    tidied: int = 0
    errors: int = 0
    compared: bool = False  # every input was; else the numbers of inputs are those of a part


class Reconciler:
    """One publisher's view of a bucket. Not thread-safe: one thread looks and publishes.

    `settle` in seconds; `now` gives seconds since 1970, `ticks` those of a clock that never jumps.
    """

    def __init__(
        self,
        bucket: Bucket,
        queue: Queue,
        dead_letters: Queue,
        *,
        prefix: str = "",
        settle: float = 1.0,
        recent: Recent | None = None,
        now: Callable[[], float] = time.time,
        ticks: Callable[[], float] = time.monotonic,
        notifier: Notifier = NOBODY,
        silent_seconds: float = 300.0,
    ) -> None:
        self._bucket, self._queue, self._dead_letters = bucket, queue, dead_letters
        self._prefix = prefix
        self._now, self._ticks = now, ticks
        self.settling = Settling(settle)
        self.recent = recent if recent is not None else Recent()
        self._others = NotInputs()
        self._said_more = False
        self._queue_is_there = False
        self._deeper_from = ticks()
        self._notifier = notifier
        self._silence = Silence(bucket, queue, notifier, silent_seconds, ticks=ticks)

    def full_pass(self, *, wait_for_dead_letters: float = 0.0) -> Pass:
        """One pass over everything; errors of bucket and queue are logged and counted, and end only their own step."""
        done = Pass()
        for _ in self.steps(done, wait_for_dead_letters=wait_for_dead_letters):
            pass
        return done

    def steps(self, done: Pass, *, wait_for_dead_letters: float = 0.0) -> Iterator[None]:
        """A full pass that pauses now and then, so that changed files need not wait for its end; counts into `done`."""
        self._queue_is_there = False
        with self._step("drain the dead letters", done):
            while self._drain(done, wait_for_dead_letters):
                yield
        with self._step("publish what has no receipt", done):
            yield from self._publish_missing(done)
        self.settling.keep(self._ticks())
        with self._step("remove claims and notes left behind", done):
            done.tidied = tidy(self._bucket, self._now())
        self._count(done)
        log.debug("pass", **vars(done))

    def look(self, names: Iterable[str]) -> int:
        """Looks at these objects alone, and publishes those that are complete and have no receipt; says how many."""
        done = Pass()
        with self._step("look at changed files", done):
            missing = []
            for name in names:
                if not self._is_input(name, done):
                    continue
                info = self._bucket.stat(name)
                if info is None:
                    self.settling.forget(name)
                elif self._is_due(info, done) and self._bucket.stat(_key(info).receipt) is None:
                    missing.append(info)
            self._publish(missing, "watch", done)
        return done.published

    def _count(self, done: Pass) -> None:
        if done.compared:
            metrics.UNANSWERED.set(done.inputs - done.answered)
            since = done.oldest_unanswered
            metrics.UNANSWERED_OLDEST.set(0.0 if since is None else max(0.0, self._now() - since))
            metrics.HELD_BACK.set(done.held_back)
            self._silence.passed(done.inputs - done.answered - done.settling, done.answered)
        metrics.LAST_PASS.set(self._now())

    def _drain(self, done: Pass, wait: float) -> bool:
        """Some of the dead letters; True where there may be more."""
        drained = drain(
            self._bucket,
            self._dead_letters,
            prefix=self._prefix,
            now=self._now(),
            wait=wait,
            notifier=self._notifier,
        )
        done.dead_letters += drained.receipts
        done.unusable += drained.unusable
        done.errors += drained.failed
        return drained.more

    def _publish_missing(self, done: Pass) -> Iterator[None]:
        deeper = self._ticks() >= self._deeper_from
        inputs = candidates(self._bucket, self._prefix, deeper=deeper, left_out=partial(self._leave_out, done))
        # Not recursive: what lies deeper belongs to other prefixes, and below `.unusable/` are no receipts.
        receipts = self._bucket.objects(RECEIPTS + self._prefix, recursive=False)
        missing: list[ObjectInfo] = []
        in_folders = 0
        for seen, standing in enumerate(standings(inputs, receipts), 1):
            if len(missing) >= BATCH or seen % STEP == 0:
                self._publish(missing, "poller", done)
                missing = []
                yield
            if not self._is_input(standing.input.name, done):
                in_folders += "/" in standing.input.name[len(self._prefix) :]
                continue
            done.inputs += 1
            if standing.receipt is None:
                done.oldest_unanswered = min(done.oldest_unanswered or standing.input.created, standing.input.created)
            if standing.receipt is not None:
                done.answered += 1
                self.recent.drop(_key(standing.input))
            elif self._is_due(standing.input, done):
                missing.append(standing.input)
        self._publish(missing, "poller", done)
        done.compared = True
        if deeper:
            self._deeper_from = self._ticks() + in_folders * REST
        if done.recent:  # they wait in the queue, if that is still there
            self._verify_queue()
        if done.held_back:
            log.warning(
                "the queue is long enough: files wait in the bucket until workers have caught up; "
                "if there are no workers, start some",
                files=done.held_back,
            )

    def _is_input(self, name: str, done: Pass) -> bool:
        if takes(name, self._prefix, self._bucket.url):
            return True
        self._tell(name, why_no_input(name, self._prefix, self._bucket.url), done)
        return False

    def _leave_out(self, done: Pass, name: str, why: str) -> None:
        self._tell(name, why if looks_like_input(name, self._prefix) else None, done)

    def _tell(self, name: str, why: str | None, done: Pass) -> None:
        done.not_inputs += why is not None
        if done.not_inputs <= REMEMBERED:  # more are not remembered: each pass would tell them again
            self._others.tell(name, why)
        elif not self._said_more:
            self._said_more = True
            log.info("not an input: more objects than are told by name; publisher status counts them", told=REMEMBERED)

    def _is_due(self, info: ObjectInfo, done: Pass) -> bool:
        """May this input be published now, if it has no receipt?"""
        ticks = self._ticks()
        if self.settling.wait(info, self._now(), ticks) > 0:
            done.settling += 1
        elif self.recent.holds(_key(info), ticks):
            done.recent += 1
        else:
            return True
        return False

    def _publish(self, missing: list[ObjectInfo], source: str, done: Pass) -> None:
        room = self.recent.room(self._ticks()) if missing else 0
        done.held_back += max(0, len(missing) - room)
        batch = missing[:room]
        if not batch:
            return
        self._verify_queue()
        with traces.each(
            "publish", [{"file": one.name, "generation": str(one.generation)} for one in batch]
        ) as carried:
            self._queue.publish(
                event_of(info, self._bucket.name, source).to_message(carried=more)
                for info, more in zip(batch, carried, strict=True)
            )
        self.recent.add(map(_key, batch), self._ticks())
        done.published += len(batch)
        metrics.PUBLISHED.labels(source).inc(len(batch))
        for info in batch:
            log.info("published", file=info.name, generation=str(info.generation), size=info.size, source=source)

    def _verify_queue(self) -> None:
        """Once in each pass, and after an error. A message to a topic that has no subscription yet is lost."""
        if not self._queue_is_there:
            self._queue.verify()
            self._queue_is_there = True

    @contextmanager
    def _step(self, what: str, done: Pass) -> Iterator[None]:
        try:
            yield
        except (BucketError, QueueError) as error:
            done.errors += 1
            metrics.FAILED_STEPS.inc()
            self._queue_is_there = False
            if isinstance(error, QueueMissing):
                self.recent.forget()  # its messages are lost, and are published again once there is a queue
            log.warning("this step failed and is tried again in the next pass", step=what, error=str(error))


def _key(info: ObjectInfo) -> Key:
    return Key(info.name, Generation(info.generation))
