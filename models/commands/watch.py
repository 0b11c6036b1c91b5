"""The command `watch`: keeps the evidence in MLflow up to date, where whoever moves an alias sees it."""

from __future__ import annotations

from threading import Event

from pydantic import Field

from edge.address import CannotSignal
from edge.command import Command
from edge.end_signals import on_end_signals
from edge.listen import Listening
from edge.options import LogLevelOption, Seconds
from models.commands.compare import EvidenceCommand


class Watch(LogLevelOption, Listening, EvidenceCommand):
    """Keeps an MLflow run per compared pair, and the verdict in the staging version's description and tags.

    The newest pair's verdict and report go into the bucket too, where the publisher's page finds them.
    Runs until SIGTERM or Ctrl-C. It can be ended and started at any time, and writes only what has changed.
    """

    interval: Seconds = Field(30.0, gt=0, description="how often the bucket is looked at: 30s, 5m")
    once: bool = Field(False, description="look once; status 1 where something could not be written")

    def run(self) -> int:
        """Looks until it is told to end."""
        stopping = Event()
        undo = on_end_signals(stopping.set)
        try:
            return self._watch(stopping)
        finally:
            undo()

    def _watch(self, stopping: Event) -> int:
        from models.evidence.pages.registry_page import RegistryPage, quieten_mlflow

        quieten_mlflow()
        import structlog

        from models.evidence.figures.measures.bad_measure import BadMeasure
        from models.evidence.judging.vitals import WatchVitals
        from models.evidence.judging.watcher import Watcher
        from models.registry.client import Registry
        from transport.bucket import AccessRefused
        from transport.open import open_bucket

        log = structlog.get_logger()
        try:
            terms = self.terms()
            signals = self.start_signals("models watch", self.log_level)
            bucket = open_bucket(self.bucket)
        except (AccessRefused, CannotSignal, BadMeasure) as error:
            log.error("cannot start", error=str(error))
            return 2
        registry = Registry(self.mlflow_tracking_uri, self.model, artifact_hosts=self.artifact_hosts)
        watcher = Watcher(bucket, registry, RegistryPage(registry), terms)
        log.info("watching", bucket=bucket.url, registry=registry.shown, interval=self.interval)
        vitals = signals.vitals = WatchVitals(self.interval, self.stalled_seconds)
        while True:
            done = watcher.look()
            vitals.looked(done)
            if self.once or stopping.wait(self.interval):
                signals.close()
                bucket.close()
                return 0 if done or not self.once else 1


COMMANDS: dict[str, type[Command]] = {"watch": Watch}
