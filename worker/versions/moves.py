"""Tells of versions that have come into force: of all workers that see it, the one that notes it first."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from edge.notify.news import alias_moved
from edge.notify.notifier import Notifier
from ledger.told import note_version
from transport.bucket import Bucket, BucketError
from worker.versions.seat import Refusal
from worker.versions.swap import InForce

log = structlog.get_logger()


class Moves:
    """Without receivers nothing is noted, and the bucket is not asked."""

    def __init__(self, bucket: Bucket, model: str, notifier: Notifier) -> None:
        self._bucket, self._model, self._notifier = bucket, model, notifier
        self._noted: dict[str, str | None] = {}

    def record(self, standing: Mapping[str, Refusal | None], in_force: InForce) -> None:
        """`standing`: by alias the refused version, None where what the alias names is in force. Never raises."""
        if not self._notifier:
            return
        for alias, refusal in standing.items():
            serving = in_force.of(alias)
            version = serving.spec.version if serving else None
            if refusal is not None or (alias in self._noted and self._noted[alias] == version):
                continue
            try:
                move = note_version(self._bucket, alias, self._model, version)
            except BucketError as error:
                log.warning("move not noted", alias=alias, error=str(error), consequence="tried again")
                continue
            self._noted[alias] = version
            if move is not None:
                self._notifier.tell(alias_moved(alias, self._model, version, move.before, move.number))
