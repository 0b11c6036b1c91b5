"""The shadow of one scored file: a challenger's predictions beside production's, and the record that compares them.

It starts once production's receipt stands, in processes of its own: a failing shadow never harms production.
"""

from __future__ import annotations

import json
import tempfile
import zlib
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from ledger.commit import SOURCE_GENERATION, publish
from ledger.names import Key, ShadowKey, content_type, in_form
from ledger.receipt import Outcome
from models.evidence.record.comparison import Comparison, FileHeader, Predictions
from models.registry.client import STAGING, FetchedVersion
from models.registry.spec import ModelSpec
from models.scoring.scorer import Scorer
from models.scoring.table.limits import USUAL_LIMITS, Limits
from models.scoring.table.read import ReadAgain
from transport.bucket import ABSENT, Bucket, ObjectNotFound, PreconditionFailed, put, read_again_where_damaged
from transport.event import ObjectEvent
from worker.processes.scoring_process import Workshop
from worker.scoring.output import output_of
from worker.scoring.predict import Stopwatch, predict
from worker.scoring.predicted import Predicted
from worker.scoring.score import checked_to_the_end
from worker.scoring.served import SERVED_BLOCK_BYTES, NothingToCompare, Served
from worker.scoring.tally import Tally

MEMORY_OF_SPOOL = 8 << 20
LONGER_ROWS = 4  # times the input's block: what a row with carried cells has at most, quotes doubled


def in_shadow(name: str, fraction: float) -> bool:
    """True for the share `fraction` (0 to 1) of all names; every worker chooses alike."""
    return zlib.crc32(name.encode()) < fraction * 2**32


def event_time(event: ObjectEvent) -> datetime:
    """When the event happened; 1970 where the event, of another program, gives no time that can be read."""
    try:
        at = datetime.fromisoformat(event.event_time)
    except ValueError:
        return datetime.fromtimestamp(0, UTC)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Shadow:
    """The task: scores a file with the challenger of an alias and compares it with what production wrote."""

    event: ObjectEvent
    receipt: Outcome
    production: ModelSpec
    staging: FetchedVersion
    limits: Limits = USUAL_LIMITS
    alias: str = STAGING

    @property
    def key(self) -> ShadowKey:
        """Where its output and its record lie."""
        key = self.receipt.key
        return ShadowKey(key.name, key.generation, "" if self.alias == STAGING else self.alias)

    def run(self, workshop: Workshop) -> None:
        """Writes the shadow's output and the comparison record. Raises NothingToCompare, Incomparable, Unreadable."""
        bucket, key = workshop.bucket, self.key
        scorer, target = workshop.scorer(self.staging), in_form(key.shadow, self.limits.output)
        with tempfile.SpooledTemporaryFile(max_size=MEMORY_OF_SPOOL) as spool:
            try:
                comparison = read_again_where_damaged(lambda: self._read_and_compare(bucket, key, scorer, spool))
            except ObjectNotFound as error:
                raise NothingToCompare(f"the file or its output was replaced meanwhile: {error}") from None

            def upload(looked_at: int) -> None:
                spool.seek(0)
                metadata = {SOURCE_GENERATION: str(key.generation), "model-version": self.staging.spec.version}
                with bucket.write(
                    target, if_generation=looked_at, metadata=metadata, content_type=content_type(target)
                ) as writer:
                    while block := spool.read(1 << 20):
                        writer.write(block)

            publish(bucket, target, key.generation, upload)
        record_comparison(bucket, key, comparison.to_json())

    def _read_and_compare(self, bucket: Bucket, key: Key, scorer: Scorer, spool: Any) -> Comparison:
        try:
            return self._compare(bucket, key, scorer, spool, all_columns=False)
        except ReadAgain:
            return self._compare(bucket, key, scorer, spool, all_columns=True)

    def _compare(
        self,
        bucket: Bucket,
        key: Key,
        scorer: Scorer,
        spool: Any,
        *,
        all_columns: bool,
    ) -> Comparison:
        """The record of the file; staging's output goes into `spool`."""
        watch = Stopwatch()
        file = FileHeader(
            key.name,
            str(key.generation),
            event_time(self.event),
            self.receipt.source.sha256,
            self.limits.encoding,
        )
        comparison = Comparison.start(self.production, self.staging.spec, file)
        with (
            bucket.read(key.name, key.generation.content) as input_stream,
            bucket.read(name := self.receipt.output or key.output) as output_stream,
            checked_to_the_end(bucket, input_stream),
        ):
            served = Served(output_stream, name, self.production, self.receipt.sha256, self._block_bytes())
            spool.seek(0)
            spool.truncate()
            tally = Tally()
            parts = predict(
                input_stream,
                scorer,
                watch,
                name=key.name,
                tally=tally,
                truth_column=comparison.pair.label_column,
                limits=self.limits,
                all_columns=all_columns,
            )
            output = output_of(parts, self.limits)
            spool.write(output.begin())
            for predicted in parts:
                spool.write(output.add(predicted))
                self._add(comparison, served, predicted, watch)
            spool.write(output.end())
            served.verify()
            comparison.unknown.add(self.receipt.unknown, tally.unknown)
        return comparison

    def _block_bytes(self) -> int:
        """How much of production's output is read at once: a row is no longer, with carried cells in it or without."""
        return LONGER_ROWS * self.limits.block_bytes if self.limits.carry else SERVED_BLOCK_BYTES

    def _add(self, comparison: Comparison, served: Served, predicted: Predicted, watch: Stopwatch) -> None:
        """Adds a batch, with the seconds that each of the two models took to score it."""
        share = len(predicted.labels) / max(self.receipt.rows, 1)
        labels, probabilities = served.take(len(predicted.labels))
        comparison.add(
            Predictions(labels, probabilities, self.receipt.timings.get("score", 0.0) * share),
            Predictions(predicted.labels, predicted.probabilities.astype(np.float64), watch.lap("score")),
            predicted.truth,
            predicted.columns_of_all(),
            predicted.ids,
        )


def record_comparison(bucket: Bucket, key: Key, record: dict[str, Any]) -> None:
    """Writes the comparison record of a file unless there is one."""
    content = json.dumps(record).encode()
    with suppress(PreconditionFailed):  # a redelivery, or another worker, compared this file already
        put(bucket, key.comparison, content, if_generation=ABSENT, content_type="application/json")


def failed_record(event: ObjectEvent, production: str, staging: str, reason: str) -> dict[str, Any]:
    """The record of a file that could not be compared: versions, and why."""
    return {
        "schema": "understudy.comparison.failed",
        "version": 1,
        "production": production,
        "staging": staging,
        "file": {
            "name": event.name,
            "generation": str(event.generation),
            "event_time": event_time(event).isoformat(),
        },
        "failed": reason[:1000],
    }
