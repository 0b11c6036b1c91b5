"""Re-scorings are numbered in order: each stands on the receipt of the one before."""

from __future__ import annotations

from ledger.names import Key
from transport.bucket import Bucket
from transport.event import Generation, ObjectEvent, UnusableMessage


def refuse_unfounded(bucket: Bucket, event: ObjectEvent) -> None:
    """Raises UnusableMessage for a re-scoring whose forerunner has no receipt.

    A number far ahead would make every later re-scoring an old one, and the ordinary scoring too. Raises BucketError.
    """
    content, number = event.generation.content, event.generation.rescore
    if number and bucket.stat(Key(event.name, Generation(content, number - 1)).receipt) is None:
        before = f"its re-scoring {number - 1}" if number > 1 else "its first scoring"
        raise UnusableMessage(
            f"it asks for re-scoring {number} of {event.name[:80]!r} (generation {content}), and {before} has no "
            f"receipt; `python -m publisher rescore` numbers re-scorings in order"
        )
