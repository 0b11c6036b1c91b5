"""What is put on record of versions after each look at the registry, and told."""

from __future__ import annotations

from collections.abc import Mapping

from edge.notify.notifier import Notifier
from transport.bucket import Bucket
from worker.versions.moves import Moves
from worker.versions.refusals import Refusals
from worker.versions.seat import Refusal
from worker.versions.swap import InForce


class Records:
    """Refusals and moves together."""

    def __init__(self, bucket: Bucket, model: str, worker: str, notifier: Notifier) -> None:
        self._refusals = Refusals(bucket, model, worker, notifier)
        self._moves = Moves(bucket, model, notifier)

    def record(self, standing: Mapping[str, Refusal | None], in_force: InForce) -> None:
        """Never raises; what could not be written is written at the next call."""
        self._refusals.record(standing, in_force)
        self._moves.record(standing, in_force)
