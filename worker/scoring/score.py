"""Scores one file with the production model and claims the outcome: what a scoring process does for a message."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import BinaryIO, cast

from ledger.commit import claim_metadata, claim_outcome, open_claim
from ledger.names import Key, in_form
from ledger.receipt import ModelUsed, Outcome, RowError, Source, Status
from models.registry.client import FetchedVersion
from models.registry.spec import ModelSpec
from models.scoring.scorer import Scorer
from models.scoring.table.faults import Unreadable
from models.scoring.table.limits import USUAL_LIMITS, Limits
from models.scoring.table.read import ReadAgain
from transport.bucket import Bucket, ObjectInfo, ObjectNotFound, PreconditionFailed, read_again_where_damaged
from transport.event import ObjectEvent
from worker.processes.scoring_process import Workshop
from worker.scoring import write
from worker.scoring.output import output_of
from worker.scoring.predict import Scoring, Stopwatch, predict
from worker.scoring.tally import Tally

READ_ON_BYTES = 64 * 2**20
BLOCK_BYTES = 2**20


@dataclass(frozen=True)
class Attempt:
    """One attempt at one event: its number, and the worker that makes it."""

    event: ObjectEvent
    number: int
    worker: str

    @property
    def key(self) -> Key:
        return Key(self.event.name, self.event.generation)


@dataclass(frozen=True)
class Score:
    """The task: one attempt with one version."""

    attempt: Attempt
    version: FetchedVersion
    limits: Limits = USUAL_LIMITS

    def run(self, workshop: Workshop) -> ObjectInfo | None:
        return score_file(workshop.bucket, self.attempt, workshop.scorer(self.version), self.limits)


def score_file(
    bucket: Bucket,
    attempt: Attempt,
    scorer: Scorer,
    limits: Limits = USUAL_LIMITS,
) -> ObjectInfo | None:
    """Scores the event's generation and claims the outcome; None where another claim stood already.

    A fault of the file ends in a claim (`rejected`, or `superseded` where that generation is gone); a fault of the
    bucket raises, and nothing is claimed.
    """
    outcome = _begun(attempt)
    try:
        _refuse_if_too_big(bucket, attempt.event, limits)
        return read_again_where_damaged(lambda: _read_and_claimed(bucket, outcome, scorer, limits))
    except PreconditionFailed:
        return None
    except Unreadable as fault:
        errors = (RowError(str(fault), column=fault.column),)
        rejected = replace(outcome, model=model_used(scorer.spec), fault=fault.kind, errors=errors, finished=_now())
        return claim_outcome(bucket, rejected)
    except ObjectNotFound:
        gone = RowError("this generation is gone: the file was replaced or deleted before it was scored")
        return claim_outcome(bucket, replace(outcome, status=Status.SUPERSEDED, errors=(gone,), finished=_now()))


def _read_and_claimed(bucket: Bucket, outcome: Outcome, scorer: Scorer, limits: Limits) -> ObjectInfo:
    try:
        return _claimed(bucket, outcome, scorer, limits, all_columns=False)
    except ReadAgain:
        return _claimed(bucket, outcome, scorer, limits, all_columns=True)


def _claimed(bucket: Bucket, outcome: Outcome, scorer: Scorer, limits: Limits, *, all_columns: bool) -> ObjectInfo:
    """Scores the file into a claim. Raises Unreadable, ReadAgain and what the bucket raises: no claim is left then."""
    watch, tally, digest = Stopwatch(), Tally(), hashlib.sha256()
    key = outcome.key
    output = in_form(key.output, limits.output)
    metadata: dict[str, str] = {}
    with (
        bucket.read(key.name, key.generation.content) as stored,
        checked_to_the_end(bucket, stored),
        open_claim(bucket, key, metadata, output) as claim,
    ):
        stream = Hashed(stored)
        parts = predict(
            cast("BinaryIO", stream), scorer, watch, name=key.name, tally=tally, limits=limits, all_columns=all_columns
        )
        for piece in filter(None, _pieces(parts, limits)):
            with watch.step("write"):
                digest.update(piece)
                claim.write(piece)
        source = replace(outcome.source, sha256=stream.sha256())
        scored = replace(outcome, source=source, output=output, sha256=digest.hexdigest())
        metadata.update(claim_metadata(_counted(scored, scorer.spec, tally, watch)))
    return claim.info


def _pieces(parts: Scoring, limits: Limits) -> Iterator[bytes]:
    """The output, from its header on."""
    output, watch = output_of(parts, limits), parts.watch
    yield output.begin()
    for predicted in parts:
        with watch.step("write"):
            piece = output.add(predicted)
        yield piece
    with watch.step("write"):
        piece = output.end()
    yield piece


def _counted(outcome: Outcome, spec: ModelSpec, tally: Tally, watch: Stopwatch) -> Outcome:
    """The outcome of a file that was scored, with what was counted on the way."""
    return replace(
        outcome,
        status=Status.SCORED,
        model=model_used(spec),
        rows=tally.rows,
        rejected_rows=tally.rejected.total(),
        rejected={str(fault): rows for fault, rows in tally.rejected.items()},
        unknown=tally.unknown,
        timings={step: round(seconds, 6) for step, seconds in watch.seconds.items()},
        finished=_now(),
        errors=tuple(tally.errors),
    )


def stored_size(bucket: Bucket, event: ObjectEvent) -> int | None:
    """The size in the event; where the event has none, the size in the bucket."""
    if event.size is not None:
        return event.size
    standing = bucket.stat(event.name)
    return standing.size if standing else None


def _refuse_if_too_big(bucket: Bucket, event: ObjectEvent, limits: Limits) -> None:
    """Raises Unreadable before anything is read, where the event says so and the bucket agrees.

    The message alone is not believed: any account that may publish can have sent it.
    """
    if event.size is not None and event.size > limits.max_file_bytes:
        standing = bucket.stat(event.name)
        if standing is not None and standing.generation == event.generation.content:
            limits.check_size(standing.size)


def model_used(spec: ModelSpec) -> ModelUsed:
    """What a receipt says of the model."""
    positive = write.positive_index(spec)
    return ModelUsed(spec.name, spec.version, spec.run_id, None if positive is None else spec.classes[positive])


def _begun(attempt: Attempt) -> Outcome:
    source = Source.of(attempt.event)
    return Outcome(Status.REJECTED, source, attempt=attempt.number, worker=attempt.worker)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@contextmanager
def checked_to_the_end(bucket: Bucket, stored: BinaryIO) -> Iterator[None]:
    """Where the block raises Unreadable, reads on in the file `stored`, for READ_ON_BYTES at most.

    The bytes may have arrived damaged, which shows at the end of the file: then DamagedRead is raised in place of
    Unreadable. In a bucket without checksums nothing more is read.
    """
    try:
        yield
    except Unreadable:
        left = READ_ON_BYTES if bucket.checks_reads else 0
        while left > 0 and (block := stored.read(BLOCK_BYTES)):
            left -= len(block)
        raise


class Hashed(io.RawIOBase):
    """A stream, and the SHA-256 of what was read of it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._digest = stream, hashlib.sha256()

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self._digest.update(data)
        return data

    def sha256(self) -> str:
        return self._digest.hexdigest()
