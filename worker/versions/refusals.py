"""Puts on record in the bucket which versions were refused, so that `publisher status` shows it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import structlog

from edge.notify.news import version_refused
from edge.notify.notifier import NOBODY, Notifier
from ledger.records import RefusedVersion, forget_refused, record_refused
from transport.bucket import Bucket, BucketError
from worker.versions.seat import Refusal
from worker.versions.swap import InForce

log = structlog.get_logger()


class Refusals:
    """One record per alias, written by any worker; removed once a worker serves the version that the alias names.

    The worker that wrote it tells receivers.
    """

    def __init__(self, bucket: Bucket, model: str, worker: str, notifier: Notifier = NOBODY) -> None:
        self._bucket, self._model, self._worker, self._notifier = bucket, model, worker, notifier
        self._recorded: dict[str, Refusal | None] = {}

    def record(self, standing: Mapping[str, Refusal | None], in_force: InForce = InForce()) -> None:  # noqa: B008 - frozen
        """Brings the records up to date. `standing`: by alias the refused version, None where the version serves.

        Never raises; what could not be written is written at the next call.
        """
        for alias, refusal in standing.items():
            if alias in self._recorded and self._recorded[alias] == refusal:
                continue
            try:
                if refusal is None:
                    forget_refused(self._bucket, alias)
                else:
                    number = record_refused(self._bucket, self._note(alias, refusal))
                    if number is not None:
                        self._tell(alias, refusal, in_force, number)
            except BucketError as error:
                log.warning("refusal not recorded", alias=alias, error=str(error), consequence="tried again")
            else:
                self._recorded[alias] = refusal

    def _tell(self, alias: str, refusal: Refusal, in_force: InForce, number: str) -> None:
        serving = in_force.of(alias)
        goes_on = serving.spec.version if serving else None
        self._notifier.tell(version_refused(alias, self._model, refusal.version, refusal.reason, goes_on, number))

    def _note(self, alias: str, refusal: Refusal) -> RefusedVersion:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return RefusedVersion(alias, self._model, refusal.version, refusal.reason, self._worker, now)
