"""Removes the claims and failure notes that killed workers left beside a receipt."""

from __future__ import annotations

import structlog

from ledger.commit import bring_to_receipt
from ledger.names import CLAIMS, FAILURES, Key, parse_key
from transport.bucket import Bucket, ObjectInfo

ABANDONED = 3600.0  # seconds; a claim that is without a receipt for longer has lost its message

log = structlog.get_logger()


class _ClaimGone(Exception):
    """The claim was removed meanwhile, by a program that has written the receipt."""


def tidy(bucket: Bucket, now: float) -> int:
    """Removes claims and failure notes whose receipt stands, and says how many; `now` in seconds since 1970.

    Normally there is nothing to list. A claim that has stood without a receipt for an hour is brought to one: its
    message was lost and its input replaced, so that no event about that generation comes again.
    """
    removed = 0
    for folder in (CLAIMS, FAILURES):
        for left in bucket.objects(folder):
            key = parse_key(left.name, folder)
            if key is None:
                continue
            if bucket.stat(key.receipt) is not None:
                removed += bucket.delete(left.name)
            elif folder == CLAIMS and now - left.created > ABANDONED:
                removed += _follow_abandoned(bucket, key)
    return removed


def _follow_abandoned(bucket: Bucket, key: Key) -> bool:
    def score() -> ObjectInfo | None:
        raise _ClaimGone

    try:
        bring_to_receipt(bucket, key, score)
    except _ClaimGone:
        return False
    except (ValueError, KeyError) as error:
        log.warning("this claim is none of ours; remove it", claim=key.claim, error=repr(error))
        return False
    return True
