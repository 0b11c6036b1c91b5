"""The way of one message: event → scored and committed → receipt → shadow → ack."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Event

import structlog

from edge import metrics, traces
from edge.log import MayQuoteRows
from edge.not_inputs import NotInputs
from ledger.commit import settle
from ledger.naming.inputs import takes, why_no_input
from ledger.notes import Failure, note_failure, record_unusable
from ledger.receipt import Outcome, Status
from ledger.rescoring import refuse_unfounded
from models.registry.client import FetchedVersion
from transport.bucket import Bucket, BucketError
from transport.event import BY_NOTIFICATION, ObjectEvent, UnusableMessage
from transport.queue import Delivery
from worker.brake import Brake
from worker.filenames import FilenamesLog
from worker.in_hand import InHand
from worker.processes.pool import Pool
from worker.processes.process import ScorerDied, TaskFailed
from worker.quoted import kind_of, shown
from worker.scoring.manner import USUAL_MANNER, Manner
from worker.scoring.score import Attempt, Score, stored_size
from worker.shadow import Shadow, in_shadow
from worker.shadow_line import ShadowLine
from worker.traced import Traced
from worker.versions.follow import Follower
from worker.versions.swap import InForce

log = structlog.get_logger()


@dataclass(frozen=True)
class Handler:
    """Does what a message asks for. `handle` is called by several threads at once, and never raises."""

    name: str
    bucket: Bucket
    in_hand: InHand
    follower: Follower
    pool: Pool
    shadow_line: ShadowLine
    filenames: FilenamesLog
    ending: Event
    brake: Brake
    prefix: str = ""
    score_seconds: float = 600.0
    shadow_fraction: float = 1.0
    manner: Manner = USUAL_MANNER
    others: NotInputs = field(default_factory=NotInputs)

    def handle(self, delivery: Delivery) -> None:
        """Brings the message's file to its receipt and acks, hands the delivery on to the shadow, or gives it back."""
        try:
            event = self._scorable(delivery)
            if event is None:
                self.in_hand.ack(delivery)
                return
            with traces.span(
                "handle",
                parent=traces.received(delivery.message.attributes),
                file=event.name,
                generation=str(event.generation),
                attempt=delivery.attempt,
                source=event.source,
            ):
                self._score_and_commit(delivery, event)
        except Exception:
            log.exception("message failed in an unforeseen way", message_id=delivery.id, consequence="it comes again")
            self.in_hand.give_back(delivery)

    def _scorable(self, delivery: Delivery) -> ObjectEvent | None:
        """The event of a message about an input of this bucket; any other is put on record, or passed over."""
        try:
            event = ObjectEvent.from_message(delivery.message)
            if event.bucket != self.bucket.name:
                raise UnusableMessage(
                    f"it is about bucket {event.bucket[:80]!r}; this worker's is {self.bucket.name!r}"
                )
            if takes(event.name, self.prefix, self.bucket.url):
                return event
            why = why_no_input(event.name, self.prefix, self.bucket.url)
            if event.source != BY_NOTIFICATION:
                raise UnusableMessage(
                    f"a publisher sent {event.name[:80]!r}, which is no input below this worker's prefix "
                    f"{self.prefix!r}: publishers and workers of a queue need the same PREFIX"
                    + (f" ({why})" if why else "")
                )
        except UnusableMessage as reason:
            self._put_on_record(delivery, reason)
            return None
        self.others.tell(event.name, why)  # the bucket itself tells of whatever is written
        return None

    def _put_on_record(self, delivery: Delivery, reason: UnusableMessage) -> None:
        record = record_unusable(self.bucket, delivery.id, delivery.message, str(reason))
        metrics.UNUSABLE.inc()
        log.warning("message unusable", message_id=delivery.id, reason=str(reason), record=record)

    def _score_and_commit(self, delivery: Delivery, event: ObjectEvent) -> None:
        attempt = Attempt(event, delivery.attempt, self.name)
        key = attempt.key
        told = log.bind(file=key.name, generation=str(key.generation), attempt=attempt.number)
        told.info("file taken", source=event.source)
        metrics.REDELIVERIES.inc(attempt.number > 1)
        self.filenames.append(key)
        versions = self.follower.in_force
        started, traced = time.monotonic(), Traced()

        def task() -> Score:  # made when a process is free for it: a swap takes effect at once, between two files
            nonlocal versions
            versions = self.follower.in_force
            if versions.production is None:
                raise TaskFailed("UnfitModel", "no version is in force for production")
            return Score(attempt, versions.production, self.manner)

        held = 0
        while True:
            try:
                refuse_unfounded(self.bucket, event)
                receipt, mine = settle(
                    self.bucket,
                    key,
                    lambda: traced.scoring(lambda: self.pool.run_next(task, self._seconds_for(delivery, event))),
                    look_for_claim=attempt.number != 1 or held > 0,
                )
                break
            except UnusableMessage as reason:
                self._put_on_record(delivery, reason)
                self.in_hand.ack(delivery)
                return
            except (BucketError, ScorerDied, TaskFailed) as error:
                if not self.brake.hold(error, held):
                    self._failed(attempt, versions.production, error)
                    self.in_hand.give_back(delivery)
                    return
            held += 1
            self.in_hand.tried()
        self.brake.went_well()
        seconds = time.monotonic() - started
        if mine:
            _count(receipt, seconds)
            traced.committed(receipt)
        told.info(
            "receipt written" if mine else "receipt stood already",
            status=str(receipt.status),
            model_version=receipt.model.version if receipt.model else None,
            rows=receipt.rows,
            rejected_rows=receipt.rejected_rows,
            unknown=receipt.unknown,
            reason=MayQuoteRows(receipt.errors[0].message) if receipt.errors else None,
            seconds=round(seconds, 3),
        )
        shadow = self._shadow_of(event, receipt, versions)
        if shadow is None or (not mine and self.bucket.stat(key.comparison)):
            self.in_hand.ack(delivery)
        else:
            self.shadow_line.send(delivery, shadow)

    def _seconds_for(self, delivery: Delivery, event: ObjectEvent) -> float:
        size = stored_size(self.bucket, event)
        seconds = self.manner.limits.seconds_allowed(self.score_seconds, event.name, size)
        self.in_hand.allow(delivery, seconds)
        return seconds

    def _failed(self, attempt: Attempt, production: FetchedVersion | None, error: Exception) -> None:
        key = attempt.key
        told = log.bind(file=key.name, generation=str(key.generation), attempt=attempt.number)
        if self.ending.is_set() or self.brake.is_released:
            told.info("file given back", consequence="another worker scores it")
            return
        self.brake.attempt_failed()
        metrics.FAILED_ATTEMPTS.inc()
        told.warning(
            "attempt failed", error=shown(error), kind=kind_of(error), consequence="it comes again, or is dead-lettered"
        )
        if isinstance(error, TaskFailed) and error.kind == "UnfitModel" and production is not None:
            self.follower.repair(production)
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        try:
            note_failure(self.bucket, key, Failure(attempt.number, str(error), self.name, now))
        except BucketError as unwritten:
            told.warning("failure not noted", error=str(unwritten))

    def _shadow_of(self, event: ObjectEvent, receipt: Outcome, versions: InForce) -> Shadow | None:
        """The shadow that this file is to have, or None: not scored, not chosen, no staging version to compare with."""
        production, staging = versions.production, versions.shadow
        if receipt.status is not Status.SCORED or receipt.model is None or production is None or staging is None:
            return None
        if receipt.model.version != production.spec.version:
            return None  # production has moved on since this file was scored
        if not in_shadow(event.name, self.shadow_fraction):
            return None
        return Shadow(event, receipt, production.spec, staging, self.manner)


def _count(receipt: Outcome, seconds: float) -> None:
    """Counts a file by the receipt that this worker wrote for it, whoever scored it."""
    metrics.FILES.labels(str(receipt.status)).inc()
    metrics.FILE_SECONDS.observe(seconds)
    for step in metrics.STEPS:
        if step in receipt.timings:
            metrics.STEP_SECONDS.labels(step).observe(receipt.timings[step])
    if receipt.status is Status.SCORED:
        metrics.ROWS.inc(receipt.rows)
        for reason, rows in receipt.rejected.items():
            metrics.ROWS_REJECTED.labels(reason).inc(rows)
        for column, rows in (receipt.unknown or {}).items():
            metrics.ROWS_UNKNOWN.labels(column).inc(rows)
    if receipt.status is Status.REJECTED:
        metrics.FILES_REJECTED.labels(receipt.fault).inc()
