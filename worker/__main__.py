"""`python -m worker`"""

from __future__ import annotations

from worker.processes.ending import Ending, end_at_once_on_signals, leave

if __name__ == "__main__":
    end_at_once_on_signals()  # before the imports: they take a second, or several on a busy machine

import codecs
import os
import socket
import sys
from dataclasses import fields
from functools import partial
from pathlib import Path
from threading import Event
from typing import Literal

from pydantic import ByteSize, Field, field_validator

from edge.address import CannotSignal
from edge.command import main
from edge.listen import Listening
from edge.notify.options import Receipting
from edge.options import ArtifactHosts, BucketOption, LogLevelOption, ModelOption, QueueOption, RegistryOption
from ledger.prefix import Prefix
from models.scoring.table.carried import carried_names
from models.scoring.table.limits import USUAL_LIMITS, Limits


class Work(LogLevelOption, Listening, Receipting, ModelOption, RegistryOption, QueueOption, BucketOption):
    """Pulls new files, scores them with production and its shadow, writes predictions and receipts below output/.

    SIGTERM and Ctrl-C: no more is pulled, what is in hand is finished within UNDERSTUDY_DRAIN_SECONDS, the rest given
    back.
    """

    prefix: Prefix = ""
    artifact_hosts: ArtifactHosts = ""
    model_cache: Path = Field(Path(".model-cache"), description="folder for fetched versions")
    registry_poll_seconds: float = Field(10.0, gt=0, description="how often the aliases are looked at")
    processes: int = Field(
        default_factory=lambda: os.cpu_count() or 1,
        ge=1,
        description="scoring processes, and as many for each challenger's shadow; one per core by default",
    )
    until_idle: float | None = Field(None, ge=0, description="end with status 0 once nothing was left so many seconds")
    drain_seconds: float = Field(25.0, ge=0, description="how long files in hand may take to finish at the end")
    score_seconds: float = Field(
        600.0,
        gt=0,
        description="how long a file of up to 64 MB may take, a bigger one in proportion (a .gz or .parquet counts"
        " tenfold); beyond it the attempt failed",
    )
    load_seconds: float = Field(600.0, gt=0, description="how long a version may take to load, beside what serves")
    shadow_seconds: float = Field(60.0, gt=0, description="how long a file's shadow may take, by its size as above")
    shadow_versions: int = Field(
        1,
        ge=1,
        le=9,
        description="how many challengers are followed and scored in the shadow: staging, then staging-2, staging-3 …",
    )
    shadow_fraction: float = Field(1.0, ge=0, le=1, description="share of the files that have a shadow, by their names")
    shadow_backlog: int = Field(1000, ge=0, description="files that may wait for a challenger; beyond it is skipped")
    block_bytes: int = Field(1 << 20, ge=1 << 10, description="how much of a file is read at once; no row is longer")
    max_file_bytes: ByteSize = Field(
        ByteSize(USUAL_LIMITS.max_file_bytes),
        gt=0,
        description="a file that is stored in more bytes is rejected",
    )
    max_rows: int = Field(USUAL_LIMITS.max_rows, gt=0, description="a file with more rows is rejected")
    max_columns: int = Field(USUAL_LIMITS.max_columns, gt=0, description="a file with more columns is rejected")
    max_field_bytes: int = Field(
        USUAL_LIMITS.max_field_bytes,
        gt=0,
        description="a file with a longer field is rejected",
    )
    max_gzip_ratio: float = Field(
        USUAL_LIMITS.max_gzip_ratio,
        gt=1,
        description="a .gz or .parquet that unpacks to more than so many times its size, and over 64 MB, is rejected",
    )
    encoding: str = Field("utf-8", description="of files without a mark that names theirs, as Python calls it")
    max_unknown: float = Field(
        1.0,
        gt=0,
        le=1,
        description="share of a column's texts from which on, if the model was never shown them, a file is rejected",
    )
    spreadsheet_safe: bool = Field(
        False, description="copied cells that a spreadsheet would run as formulas get an apostrophe (see SECURITY.md)"
    )
    output: Literal["csv", "parquet"] = Field("csv", description="the form of predictions, the shadow's too")
    carry: str = Field(
        "", description="columns of the file to copy beside its predictions: all, or names by commas; empty: none"
    )
    filenames_log: str = Field("new_data_filenames.txt", description="every file name taken is appended; empty: off")

    @field_validator("encoding")
    @classmethod
    def _is_known(cls, encoding: str) -> str:
        try:
            b"".decode(encoding)  # refuses what is no encoding of text, such as base64
            codecs.getincrementaldecoder(encoding)
        except LookupError:
            raise ValueError(f"{encoding!r} is no encoding of text that Python knows") from None
        return encoding

    @field_validator("carry")
    @classmethod
    def _are_names(cls, carry: str) -> str:
        carried_names(carry)
        return carry

    def run(self) -> int:
        # Imported here: a scoring process imports this module too, and has no use for any of it.
        import structlog

        from models.registry.challengers import CHALLENGERS
        from models.registry.client import PRODUCTION, Registry
        from transport.bucket import BucketError
        from transport.open import open_bucket, open_queue
        from transport.queue import QueueError
        from transport.queues.pubsub.names import project_of
        from worker.brake import Brake
        from worker.handle import FilenamesLog, Handler
        from worker.leases import Leases
        from worker.loop import Loop
        from worker.processes.pool import Pool
        from worker.shadow_line import ShadowLine
        from worker.versions.follow import Follower
        from worker.versions.records import Records
        from worker.versions.trial import Trial, TriedPool
        from worker.vitals import Vitals

        name = f"{socket.gethostname()}-{os.getpid()}"
        log = structlog.get_logger()
        ending = Ending(self.drain_seconds)
        stopping = ending.stopping
        try:
            signals = self.start_signals("worker", self.log_level, project_of(self.queue), worker=name)
            bucket, queue = open_bucket(self.bucket), open_queue(self.queue)
            notifier = self.notifier(bucket.url)
            bucket.verify()
            queue.verify()
            bucket.sweep()
        except (BucketError, QueueError, CannotSignal) as error:
            log.error("cannot start", error=str(error))
            return 2
        new_pool = partial(Pool, self.processes, bucket.url, log_level=self.log_level, load_seconds=self.load_seconds)
        scorers = new_pool()
        shadows = {alias: new_pool() for alias in CHALLENGERS[: self.shadow_versions]}
        trial = Trial(bucket.url, self.log_level, self.load_seconds)
        follower = Follower(
            Registry(self.mlflow_tracking_uri, self.model, artifact_hosts=self.artifact_hosts),
            self.model_cache,
            {alias: TriedPool(pool, trial) for alias, pool in {PRODUCTION: scorers, **shadows}.items()},
            self.registry_poll_seconds,
            Records(bucket, self.model, name, notifier).record,
        )
        leases = Leases(queue)
        line = ShadowLine(
            bucket, leases, shadows, self.processes, limit=self.shadow_seconds, longest=self.shadow_backlog
        )
        vitals = signals.vitals = Vitals(
            queue, leases, line, follower, stopping, self.stalled_seconds, self.score_seconds
        )
        follower.start()
        follower.wait_for_production(stopping)
        handler = Handler(
            name=name,
            bucket=bucket,
            leases=leases,
            follower=follower,
            pool=scorers,
            shadow_line=line,
            filenames=FilenamesLog(self.filenames_log),
            ending=Event(),
            prefix=self.prefix,
            score_seconds=self.score_seconds,
            shadow_fraction=self.shadow_fraction,
            brake=Brake(bucket.verify),
            limits=self._limits(),
            notifier=notifier,
        )
        ending.work_begins()
        log.info("worker ready", bucket=bucket.url, queue=queue.url, processes=self.processes)
        # Twice as many files as processes: while one is scored, another is read or committed.
        vitals.loop = Loop(
            queue, leases, handler, line, (scorers, *shadows.values()), 2 * self.processes, self.drain_seconds, stopping
        )
        vitals.loop.run(self.until_idle)
        notifier.close()
        signals.close()
        queue.close()
        bucket.close()
        if not follower.stop():
            log.warning("registry still asked", consequence="the worker ends without waiting for its answer")
            leave()  # Python would wait for the threads that MLflow downloads in
        return 0

    def _limits(self) -> Limits:
        return Limits(**{limit.name: getattr(self, limit.name) for limit in fields(Limits)})


if __name__ == "__main__":
    sys.exit(main("worker", Work.__doc__ or "", {}, default=Work))
