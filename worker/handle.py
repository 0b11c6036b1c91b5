"""The way of one message: event → scored and committed → receipt → shadow → ack."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Event

import structlog

from edge import metrics, traces
from edge.log import MayQuoteRows
from edge.not_inputs import NotInputs
from ledger.commit import bring_to_receipt, refuse_unfounded
from ledger.names import Key, event_of, takes, why_no_input
from ledger.receipt import Outcome, Status
from ledger.records import Failure, record_failure, record_unusable
from models.registry.spec import UnfitModel
from models.scoring.table.limits import USUAL_LIMITS, Limits
from transport.bucket import Bucket, BucketError, ObjectInfo
from transport.event import BY_NOTIFICATION, ObjectEvent, UnusableMessage
from transport.queue import Delivery
from worker.brake import Brake
from worker.leases import Leases
from worker.processes.pool import Pool
from worker.processes.process import ScorerDied, TaskFailed, for_logs, kind_of
from worker.scoring.score import Attempt, Score, stored_size
from worker.shadow import Shadow, in_shadow
from worker.shadow_line import ShadowLine
from worker.versions.follow import Follower
from worker.versions.swap import InForce

log = structlog.get_logger()


@dataclass(frozen=True)
class Handler:
    """Does what a message asks for. `handle` is called by several threads at once, and never raises."""

    name: str
    bucket: Bucket
    leases: Leases
    follower: Follower
    pool: Pool
    shadow_line: ShadowLine
    filenames: FilenamesLog
    ending: Event
    brake: Brake
    prefix: str = ""
    score_seconds: float = 600.0
    shadow_fraction: float = 1.0
    limits: Limits = USUAL_LIMITS
    others: NotInputs = field(default_factory=NotInputs)

    def handle(self, delivery: Delivery) -> None:
        """Brings the message's file to its receipt and acks, hands the delivery on to the shadow, or gives it back."""
        try:
            event = self._scorable(delivery)
            if event is None:
                self.leases.ack(delivery)
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
            self.leases.give_back(delivery)

    def _scorable(self, delivery: Delivery) -> ObjectEvent | None:
        """The event of a message about an input of this bucket; any other message is put on record or passed over."""
        try:
            event = event_of(delivery.message, self.bucket)
            if takes(event.name, self.prefix, self.bucket.url):
                return event
            why = why_no_input(event.name, self.prefix, self.bucket.url)
            if event.source != BY_NOTIFICATION:
                raise UnusableMessage(
                    f"a publisher sent {event.name[:80]!r}, which is no input below this worker's prefix "
                    f"{self.prefix!r}: publishers and workers of a queue need the same UNDERSTUDY_PREFIX"
                    + (f" ({why})" if why else "")
                )
        except UnusableMessage as reason:
            self._put_on_record(delivery, reason)
            return None
        self.others.tell(event.name, why)  # the bucket itself sends a message about every object
        return None

    def _put_on_record(self, delivery: Delivery, reason: UnusableMessage) -> None:
        record = record_unusable(self.bucket, delivery.id, delivery.message, str(reason))
        metrics.UNUSABLE.inc()
        log.warning("message unusable", message_id=delivery.id, reason=str(reason), record=record)

    def _score_and_commit(self, delivery: Delivery, event: ObjectEvent) -> None:
        """From a delivery about an input to its receipt, and on to the shadow or the ack."""
        file = OneFile(self, delivery, Attempt(event, delivery.attempt, self.name))
        file.log.info("file taken", source=event.source)
        metrics.REDELIVERIES.inc(file.attempt.number > 1)
        self.filenames.append(file.key)
        try:
            receipt, mine = self._receipt_of(file)
        except UnusableMessage as reason:
            self._put_on_record(delivery, reason)
            self.leases.ack(delivery)
        except (BucketError, ScorerDied, TaskFailed) as error:
            self._failed(file, error)
            self.leases.give_back(delivery)
        else:
            self.brake.went_well()
            file.tell(receipt, mine)
            self._hand_on(file, receipt, mine)

    def _receipt_of(self, file: OneFile) -> tuple[Outcome, bool]:
        """The receipt that stands, and whether this worker wrote it. A file waits here while the bucket takes nothing.

        Raises UnusableMessage, and BucketError, ScorerDied, TaskFailed where the attempt has failed.
        """
        held = 0
        while True:
            try:
                refuse_unfounded(self.bucket, file.attempt.event)
                look_for_claim = file.attempt.number != 1 or held > 0
                return bring_to_receipt(self.bucket, file.key, file.score, look_for_claim=look_for_claim)
            except (BucketError, ScorerDied, TaskFailed) as error:
                if not self.brake.hold(error, held):
                    raise
            held += 1
            self.leases.tried()

    def _hand_on(self, file: OneFile, receipt: Outcome, mine: bool) -> None:
        """Sends the delivery to the line of shadows, which acks it later; acks it now where no shadow is to run."""
        shadows = self._shadows_of(file.attempt.event, receipt, file.versions)
        if not mine:
            shadows = [shadow for shadow in shadows if not self.bucket.stat(shadow.key.comparison)]
        if shadows:
            self.shadow_line.send(file.delivery, shadows)
        else:
            self.leases.ack(file.delivery)

    def _failed(self, file: OneFile, error: Exception) -> None:
        if self.ending.is_set() or self.brake.is_released:
            file.log.info("file given back", consequence="another worker scores it")
            return
        self.brake.attempt_failed()
        metrics.FAILED_ATTEMPTS.inc()
        file.log.warning(
            "attempt failed",
            error=for_logs(error),
            kind=kind_of(error),
            consequence="it comes again, or is dead-lettered",
        )
        production = file.versions.production
        if kind_of(error) == UnfitModel.__name__ and production is not None:
            self.follower.repair(production)
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        try:
            record_failure(self.bucket, file.key, Failure(file.attempt.number, str(error), self.name, now))
        except BucketError as unwritten:
            file.log.warning("failure not noted", error=str(unwritten))

    def _shadows_of(self, event: ObjectEvent, receipt: Outcome, versions: InForce) -> list[Shadow]:
        """The shadows that this file is to have; none where it is not scored, or not chosen."""
        production = versions.production
        if receipt.status is not Status.SCORED or receipt.model is None or production is None:
            return []
        if receipt.model.version != production.spec.version:
            return []  # production has moved on since this file was scored
        if not in_shadow(event.name, self.shadow_fraction):
            return []
        return [
            Shadow(event, receipt, production.spec, version, self.limits, alias)
            for alias, version in versions.shadows.items()
        ]


class FilenamesLog:
    """`new_data_filenames.txt`: every file name that a worker of this machine took, one per line.

    Many processes share the file: each line is one write to a file opened for appending.
    """

    def __init__(self, path: str) -> None:
        """`path` empty: nothing is written."""
        self._path = Path(path) if path else None

    def append(self, key: Key) -> None:
        """Writes time, generation and name. Never raises: a file is scored whether or not its name could be written."""
        if self._path is None:
            return
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        try:
            handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                os.write(handle, f"{now} {key.generation} {key.name}\n".encode())
            finally:
                os.close(handle)
        except OSError as error:
            log.warning("file name not logged", file=key.name, error=str(error), todo="see UNDERSTUDY_FILENAMES_LOG")


class OneFile:
    """One file on its way to its receipt, for one delivery."""

    def __init__(self, handler: Handler, delivery: Delivery, attempt: Attempt) -> None:
        self.delivery, self.attempt, self.key = delivery, attempt, attempt.key
        self.versions = handler.follower.in_force  # those that the last task was made with
        self.log = log.bind(file=self.key.name, generation=str(self.key.generation), attempt=attempt.number)
        self._handler = handler
        self._started = time.monotonic()
        self._scoring_began = self._scoring_ended = time.time()
        self._scoring = traces.current()

    def score(self) -> ObjectInfo | None:
        """Scores the file in the next free process; gives the new claim, or None where another claim stood already."""
        seconds = self._seconds_allowed()
        self._scoring_began = time.time()
        with traces.span("scoring"):
            self._scoring = traces.current()
            try:
                return self._handler.pool.run_next(self._task, seconds)
            finally:
                self._scoring_ended = time.time()

    def tell(self, receipt: Outcome, mine: bool) -> None:
        """Logs the file's receipt, and counts the file where this worker wrote the receipt."""
        seconds = time.monotonic() - self._started
        if mine:
            _count(receipt, seconds)
            self._trace(receipt)
        self.log.info(
            "receipt written" if mine else "receipt stood already",
            status=str(receipt.status),
            model_version=receipt.model.version if receipt.model else None,
            rows=receipt.rows,
            rejected_rows=receipt.rejected_rows,
            unknown=receipt.unknown,
            reason=MayQuoteRows(receipt.errors[0].message) if receipt.errors else None,
            seconds=round(seconds, 3),
        )

    def _trace(self, receipt: Outcome) -> None:
        """The spans of the steps, and of the commit. A step's batches take turns: its span has the sum of them."""
        at = self._scoring_began
        for step in metrics.STEPS:
            seconds = receipt.timings.get(step, 0.0)
            if seconds:
                traces.done(step, at, seconds, parent=self._scoring, rows=receipt.rows)
                at += seconds
        ended = self._scoring_ended
        traces.done("commit", ended, time.time() - ended, status=str(receipt.status))

    def _task(self) -> Score:
        """The task, made only when a process is free for it, so that a swap takes effect between two files."""
        self.versions = self._handler.follower.in_force
        if self.versions.production is None:
            raise TaskFailed(UnfitModel.__name__, "no version is in force for production")
        return Score(self.attempt, self.versions.production, self._handler.limits)

    def _seconds_allowed(self) -> float:
        handler, event = self._handler, self.attempt.event
        seconds = handler.limits.seconds_allowed(handler.score_seconds, event.name, stored_size(handler.bucket, event))
        handler.leases.allow(self.delivery, seconds)
        return seconds


def _count(receipt: Outcome, seconds: float) -> None:
    """Counts a file by the receipt that this worker wrote; another worker may have scored the file."""
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
