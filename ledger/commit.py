"""The commit protocol: exactly one outcome per generation over deliveries that come twice and workers that die.

Claim → look at the receipt once more → publish → receipt (docs/design.md says why). Any process may repeat any step,
and may die between any two of them: the next process goes on from what it finds.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace

from ledger.names import Key, content_type, other_form
from ledger.receipt import Outcome, RowError, Status
from transport.bucket import ABSENT, Bucket, ObjectInfo, ObjectNotFound, ObjectWriter, PreconditionFailed, get, put
from transport.event import Generation, ObjectEvent, UnusableMessage

OUTCOME = "outcome"  # key in a claim's metadata
SOURCE_GENERATION = "source-generation"  # key in an output's metadata

Score = Callable[[], ObjectInfo | None]
"""Scores the file and claims its outcome: the claim that it made, or None where another claim stood already."""


def bring_to_receipt(bucket: Bucket, key: Key, score: Score, *, look_for_claim: bool = True) -> tuple[Outcome, bool]:
    """Brings one generation to its receipt; gives the receipt that stands and whether this call wrote it.

    `look_for_claim=False` saves one look: at a first delivery an earlier claim is unlikely. Where there is one all the
    same, the file is scored for nothing, and the answer is still right. Raises what the bucket and `score` raise; call
    again then.
    """
    if standing := read_receipt(bucket, key):
        bucket.delete(key.claim)
        return standing, False
    claim = bucket.stat(key.claim) if look_for_claim else None
    while True:
        if claim is None:
            claim = score()
        if claim is None:
            claim = bucket.stat(key.claim)
        if claim is not None:
            receipt = _follow(bucket, key, claim)
            if receipt is not None:
                return receipt
            claim = None
        # The claim that stood is gone: its owner has finished meanwhile, or removed a claim younger than the receipt.
        if standing := read_receipt(bucket, key):
            return standing, False


def refuse_unfounded(bucket: Bucket, event: ObjectEvent) -> None:
    """Raises UnusableMessage for a re-scoring where the scoring before it has no receipt.

    Otherwise one message with a high number would make every later scoring of the file count as old. Raises
    BucketError.
    """
    content, number = event.generation.content, event.generation.rescore
    if number and bucket.stat(Key(event.name, Generation(content, number - 1)).receipt) is None:
        before = f"its re-scoring {number - 1}" if number > 1 else "its first scoring"
        raise UnusableMessage(
            f"it asks for re-scoring {number} of {event.name[:80]!r} (generation {content}), and {before} has no "
            f"receipt; `python -m publisher rescore` numbers re-scorings in order"
        )


def claim_outcome(bucket: Bucket, outcome: Outcome) -> ObjectInfo | None:
    """Claims an outcome that has no predictions; None where another claim stands already."""
    try:
        with open_claim(bucket, outcome.key, claim_metadata(outcome)) as claim:
            pass
    except PreconditionFailed:
        return None
    return claim.info


def open_claim(
    bucket: Bucket, key: Key, metadata: dict[str, str], output: str = ""
) -> AbstractContextManager[ObjectWriter]:
    """The claim of an outcome with predictions for `output`, open for writing; fill `metadata` before the block ends.

    `metadata` is to be that of `claim_metadata`. The block ends in PreconditionFailed where another claim stands.
    """
    return bucket.write(
        key.claim, if_generation=ABSENT, metadata=metadata, content_type=content_type(output or key.output)
    )


def claim_metadata(outcome: Outcome) -> dict[str, str]:
    """What the claim of this outcome carries."""
    return {OUTCOME: outcome.to_json()}


def read_receipt(bucket: Bucket, key: Key) -> Outcome | None:
    """The receipt of this generation, or None."""
    try:
        return Outcome.from_json(get(bucket, key.receipt))
    except ObjectNotFound:
        return None


def publish(bucket: Bucket, target: str, generation: Generation, write: Callable[[int], object]) -> bool:
    """Writes `target` unless a newer generation's output stands there, or in the other form; False where one does.

    An older output in the other form is removed: workers may have been told to write another form since.
    """
    return _write(bucket, target, generation, write) and _keep_one_form(bucket, target)


def _keep_one_form(bucket: Bucket, target: str) -> bool:
    """Removes the older of the two forms of an output; False where that is `target`.

    Whoever writes looks at the other form afterwards: of two that write at once, one sees both. Of one generation in
    both forms the CSV stays. What another program wrote in the other form is not touched. A writer that dies between
    the two steps leaves an older form beside the newer one where all other deliveries are done: until the next scoring.
    """
    while True:
        other = bucket.stat(other_form(target))
        if other is None or SOURCE_GENERATION not in other.metadata:
            return True
        mine = bucket.stat(target)
        if mine is None:
            return False
        older, newer = sorted((mine, other), key=lambda form: (output_generation(form), form.name.endswith(".csv")))
        try:
            bucket.delete(older.name, if_generation=older.generation)
            return newer is mine
        except PreconditionFailed:
            continue  # replaced meanwhile: look again


def _write(bucket: Bucket, target: str, generation: Generation, write: Callable[[int], object]) -> bool:
    """Writes `target` unless a newer generation's output stands there; False where it does.

    `write(g)` writes it on condition that `target` is of generation `g`, with `generation` under SOURCE_GENERATION in
    its metadata. An output of this same generation is left as it is.
    """
    looked_at = ABSENT
    while True:
        try:
            write(looked_at)
            return True
        except PreconditionFailed:
            standing = bucket.stat(target)
        looked_at = ABSENT
        if standing is not None:
            theirs = output_generation(standing)
            if theirs == generation:
                return True
            if theirs > generation:
                return False
            looked_at = standing.generation


def output_generation(output: ObjectInfo) -> Generation:
    """Which generation of the input an output belongs to; one that another program wrote counts as older than any."""
    try:
        return Generation.parse(output.metadata.get(SOURCE_GENERATION, "0"))
    except ValueError:
        return Generation(0)


def _follow(bucket: Bucket, key: Key, claim: ObjectInfo) -> tuple[Outcome, bool] | None:
    """Steps 2 to 4 for the claim that stands; None where it has gone meanwhile."""
    if standing := read_receipt(bucket, key):  # a claim younger than the receipt decides nothing
        bucket.delete(key.claim)
        return standing, False
    outcome = Outcome.from_json(claim.metadata[OUTCOME])
    if outcome.status is Status.SCORED:
        try:
            published = _publish_claim(bucket, key, claim, outcome)
        except ObjectNotFound:
            return None
        if not published:
            outcome = superseded(outcome)
    try:
        put(
            bucket,
            key.receipt,
            f"{outcome.to_json()}\n".encode(),
            if_generation=ABSENT,
            content_type="application/json",
        )
        mine = True
    except PreconditionFailed:
        outcome, mine = Outcome.from_json(get(bucket, key.receipt)), False
    bucket.delete(key.claim)
    return outcome, mine


def _publish_claim(bucket: Bucket, key: Key, claim: ObjectInfo, outcome: Outcome) -> bool:
    target = outcome.output or key.output
    return publish(
        bucket,
        target,
        key.generation,
        lambda looked_at: bucket.copy(
            key.claim,
            claim.generation,
            target,
            if_generation=looked_at,
            metadata=output_metadata(outcome),
            content_type=content_type(target),
        ),
    )


def output_metadata(outcome: Outcome) -> dict[str, str]:
    """What the published output carries."""
    return {
        SOURCE_GENERATION: str(outcome.key.generation),
        "sha256": outcome.sha256,
        "model-version": outcome.model.version if outcome.model else "",
    }


def superseded(outcome: Outcome) -> Outcome:
    """The outcome of a scoring that came too late: a newer generation of the file has its output already."""
    return replace(
        outcome,
        status=Status.SUPERSEDED,
        output=None,
        sha256="",
        errors=(RowError("a newer generation of this file was scored first"),),
    )
