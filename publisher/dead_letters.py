"""Dead letters become receipts: the bucket shows how every file ended, and no publisher publishes the file again."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from edge import metrics
from edge.log import MayQuoteRows
from edge.notify.notifier import NOBODY, Notifier
from ledger.commit import bring_to_receipt, claim_outcome, refuse_unfounded
from ledger.names import INPUTS_END_IN, Key, event_of, takes, why_no_input
from ledger.receipt import Outcome, RowError, Source, Status
from ledger.records import Failure, read_failure, record_unusable
from publisher.inputs import rfc3339
from transport.bucket import Bucket, BucketError, NameTooLong
from transport.event import Message, ObjectEvent, UnusableMessage
from transport.queue import Delivery, Queue

ATTEMPTS = "CloudPubSubDeadLetterSourceDeliveryCount"  # the attribute in which Pub/Sub counts deliveries

log = structlog.get_logger()


@dataclass(frozen=True)
class Drained:
    """What one drain did: receipts that stand now, messages put on record as unusable, and those given back.

    `more`: it stopped at its limit.
    """

    receipts: int = 0
    unusable: int = 0
    failed: int = 0
    more: bool = False


def drain(
    bucket: Bucket,
    dead_letters: Queue,
    *,
    prefix: str = "",
    now: float,
    limit: int = 100,
    wait: float = 0.0,
    notifier: Notifier = NOBODY,
) -> Drained:
    """Turns up to `limit` dead letters into receipts. `now` in seconds since 1970; waits up to `wait` for the first.

    A dead letter is acked only after its receipt, or its record, stands; one that fails is given back, and comes
    again. Raises QueueError.
    """
    receipts = unusable = failed = 0
    while receipts + unusable < limit and not failed:
        deliveries = dead_letters.pull(limit - receipts - unusable, wait)
        if not deliveries:
            break
        for delivery in deliveries:
            try:
                if _bury(bucket, delivery, prefix, now, notifier):
                    receipts += 1
                else:
                    unusable += 1
                    metrics.UNUSABLE.inc()
                metrics.DEAD_LETTERS.inc()
            except (
                BucketError,
                ValueError,
                KeyError,
            ) as error:  # the last two: a receipt or claim that another program wrote
                failed += 1
                delivery.nack()
                log.warning(
                    "a dead letter could not be recorded; it is tried again", message_id=delivery.id, error=str(error)
                )
            else:
                delivery.ack()
        wait = 0.0
    return Drained(receipts, unusable, failed, more=not failed and receipts + unusable >= limit)


def outcome_of(event: ObjectEvent, attempts: int, failure: Failure | None, now: float) -> Outcome:
    """What the receipt of a dead letter says. Pure."""
    reason = (failure and str(failure.error)) or "no worker left a reason: it was killed, or lost its lease, each time"
    return Outcome(
        status=Status.DEAD_LETTERED,
        source=Source.of(event),
        attempt=attempts or (failure.attempt if failure else 0),
        worker=str(failure.worker) if failure else "",
        finished=rfc3339(now),
        errors=(RowError(reason),),
    )


def _bury(bucket: Bucket, delivery: Delivery, prefix: str, now: float, notifier: Notifier) -> bool:
    """Puts one dead letter on record; True where that is a receipt, False where there can be none."""
    try:
        event = event_of(delivery.message, bucket)
        if not takes(event.name, prefix, bucket.url):
            why = why_no_input(event.name, prefix, bucket.url) or f"those end in {INPUTS_END_IN} and lie at {prefix!r}"
            raise UnusableMessage(f"{event.name[:80]!r} is not an input: {why}")
        refuse_unfounded(bucket, event)
        key = Key(event.name, event.generation)
        outcome = outcome_of(event, attempts_in(delivery.message), read_failure(bucket, key), now)
        receipt, mine = bring_to_receipt(bucket, key, lambda: claim_outcome(bucket, outcome))
        bucket.delete(key.failure)
    except (UnusableMessage, NameTooLong) as reason:  # the second: a file system may take shorter names than most
        name = record_unusable(bucket, delivery.id, delivery.message, str(reason))
        log.warning(
            "a dead letter can have no receipt; it is on record",
            message_id=delivery.id,
            reason=str(reason),
            record=name,
        )
        return False
    if mine:
        metrics.FILES.labels(str(receipt.status)).inc()
        notifier.receipt(receipt, key.receipt)
    if mine and receipt.status is Status.DEAD_LETTERED:
        log.warning(
            "dead-lettered; mend the cause, then run `python -m publisher rescore` with its name",
            file=key.name,
            generation=str(key.generation),
            attempt=receipt.attempt,
            error=MayQuoteRows(receipt.errors[0].message if receipt.errors else ""),
            receipt=key.receipt,
        )
    else:
        log.info(
            "a dead letter's file has its receipt already",
            file=key.name,
            generation=str(key.generation),
            status=receipt.status,
        )
    return True


def attempts_in(message: Message) -> int:
    """How often the message was delivered before it was dead-lettered; 0 where it does not say."""
    count = message.attributes.get(ATTEMPTS, "")
    return int(count) if count.isascii() and count.isdigit() and len(count) < 10 else 0
