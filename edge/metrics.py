"""The one list of all figures that a program tells of itself; docs, dashboard and tests are made from it.

Figures are counted in the process that pulls and commits. The scoring processes count nothing: what they measured comes
back with their results and in the receipts, and is counted once, by the worker whose receipt stands. So there is one
process to scrape per program, and nothing to add up over processes (no PROMETHEUS_MULTIPROC_DIR).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)

WORKER, PUBLISHER, WATCH = "worker", "publisher", "models watch"

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series per counter, which is not used


@dataclass(frozen=True)
class Metric:
    """One figure. `labels`: each with the values that it has from the start; empty where these show in use only."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    unit: str
    help: str
    programs: tuple[str, ...]
    labels: dict[str, tuple[str, ...]]
    collector: Counter | Gauge | Histogram


METRICS: list[Metric] = []


def registry(program: str) -> CollectorRegistry:
    """The figures of one program, and those of its process (`process_…`: memory, processor, open files)."""
    found = CollectorRegistry()
    for metric in METRICS:
        if program in metric.programs:
            found.register(metric.collector)
    ProcessCollector(registry=found)
    return found


def _listed(
    kind: Literal["counter", "gauge", "histogram"],
    name: str,
    unit: str,
    text: str,
    programs: Sequence[str],
    labels: dict[str, tuple[str, ...]],
    collector: Counter | Gauge | Histogram,
) -> None:
    METRICS.append(Metric(name, kind, unit, text, tuple(programs), labels, collector))
    if len(labels) == 1:
        [values] = labels.values()
        for value in values:
            collector.labels(value)


def _counter(name: str, unit: str, text: str, *programs: str, **labels: tuple[str, ...]) -> Counter:
    collector = Counter(name, text, list(labels), registry=None)
    _listed("counter", name, unit, text, programs, labels, collector)
    return collector


def _gauge(name: str, unit: str, text: str, *programs: str, unknown: bool = False, **labels: tuple[str, ...]) -> Gauge:
    """`unknown`: it is not a number (NaN) until it is set."""
    collector = Gauge(name, text, list(labels), registry=None)
    if unknown:
        collector.set(math.nan)
    _listed("gauge", name, unit, text, programs, labels, collector)
    return collector


def _histogram(
    name: str, unit: str, text: str, *programs: str, buckets: Sequence[float], **labels: tuple[str, ...]
) -> Histogram:
    collector = Histogram(name, text, list(labels), registry=None, buckets=buckets)
    _listed("histogram", name, unit, text, programs, labels, collector)
    return collector


STEPS = ("read", "validate", "score", "write")  # of production, as receipts name them
_SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)

# What became of files
FILES = _counter(
    "understudy_files_total",
    "files",
    "Files whose receipt this program wrote, by its status",
    WORKER,
    PUBLISHER,
    status=("scored", "rejected", "superseded", "dead-lettered"),
)
ROWS = _counter("understudy_rows_total", "rows", "Rows of scored files, the rejected ones included", WORKER)
ROWS_REJECTED = _counter(
    "understudy_rows_rejected_total",
    "rows",
    "Rows of scored files that could not be scored, by reason",
    WORKER,
    reason=("fields", "header-again", "quotes", "encoding", "nul", "empty", "cell", "model"),
)
ROWS_UNKNOWN = _counter(
    "understudy_rows_unknown_total",
    "rows",
    "Rows of scored files with a text that the production model was never shown, by column",
    WORKER,
    column=(),
)
FILES_REJECTED = _counter(
    "understudy_files_rejected_total",
    "files",
    "Rejected files whose receipt this program wrote, by reason",
    WORKER,
    reason=(
        "empty",
        "format",
        "damaged",
        "encoding",
        "header",
        "quotes",
        "another-order",
        "no-row",
        "unknown-texts",
        "limit",
        "csv",
    ),
)
FILE_SECONDS = _histogram(
    "understudy_file_seconds",
    "seconds",
    "From a file's message being taken to its receipt",
    WORKER,
    buckets=_SECONDS,
)
STEP_SECONDS = _histogram(
    "understudy_step_seconds",
    "seconds",
    "Per file and step: read, validate, score and write of production, and the whole shadow",
    WORKER,
    buckets=_SECONDS,
    step=(*STEPS, "shadow"),
)
LAST_PROCESSED = _gauge(
    "understudy_last_processed_timestamp_seconds",
    "seconds since 1970",
    "When a message was done with last; 0 before the first",
    WORKER,
)

# Messages
IN_HAND = _gauge("understudy_in_hand", "messages", "Messages taken and not yet done with, shadows included", WORKER)
REDELIVERIES = _counter(
    "understudy_redeliveries_total", "messages", "Messages about files that had been delivered before", WORKER
)
FAILED_ATTEMPTS = _counter(
    "understudy_failed_attempts_total",
    "attempts",
    "Attempts that ended without a receipt; the message comes again",
    WORKER,
)
LEASE_EXTENSIONS = _counter("understudy_lease_extensions_total", "extensions", "Extensions of leases", WORKER)
UNUSABLE = _counter(
    "understudy_unusable_messages_total", "messages", "Messages that name no object of this bucket", WORKER, PUBLISHER
)
BACKLOG_OLDEST = _gauge(
    "understudy_backlog_oldest_seconds",
    "seconds",
    "Since the oldest message that waits was published, 0 where none waits; NaN on Pub/Sub, which does not tell",
    WORKER,
    PUBLISHER,
    unknown=True,
)

# The shadow
_SHADOWS = ("staging",)  # by the alias of their challenger
SHADOW_FAILURES = _counter(
    "understudy_shadow_failures_total", "files", "Files whose shadow failed or was skipped", WORKER, alias=_SHADOWS
)
SHADOW_BACKLOG = _gauge(
    "understudy_shadow_backlog", "files", "Scored files whose shadow waits or runs", WORKER, alias=_SHADOWS
)
_OLDEST = "Since the oldest of these was scored; 0 where there is none"
SHADOW_OLDEST = _gauge("understudy_shadow_oldest_seconds", "seconds", _OLDEST, WORKER, alias=_SHADOWS)

# Models
MODEL_VERSION = _gauge(
    "understudy_model_version_info", "1", "The version in force for an alias; always 1", WORKER, alias=(), version=()
)
MODEL_AGE = _gauge(
    "understudy_model_age_seconds",
    "seconds",
    "Since the version in force was made (logged to MLflow)",
    WORKER,
    alias=(),
)
MODEL_REFUSED = _gauge(
    "understudy_model_refused",
    "1 or 0",
    "1 while an alias names a version that must not serve",
    WORKER,
    alias=("production", "staging"),
)
REGISTRY_REACHABLE = _gauge(
    "understudy_registry_reachable",
    "1 or 0",
    "1 where the registry answered the last time it was asked; NaN before that",
    WORKER,
    WATCH,
    unknown=True,
)

# The program itself
HEALTHY = _gauge(
    "understudy_healthy", "1 or 0", "1 where /healthz says that nothing stands still", WORKER, PUBLISHER, WATCH
)
READY = _gauge("understudy_ready", "1 or 0", "1 where /readyz says that work can be done", WORKER, PUBLISHER, WATCH)

# The publisher
PUBLISHED = _counter(
    "understudy_published_total",
    "files",
    "Files published: found by a full pass, or seen as they came",
    PUBLISHER,
    source=("poller", "watch"),
)
DEAD_LETTERS = _counter(
    "understudy_dead_letters_total",
    "messages",
    "Dead letters put on record: receipts, and messages without a file",
    PUBLISHER,
)
UNANSWERED = _gauge(
    "understudy_unanswered_files",
    "files",
    "Inputs without a receipt of their present content, in the last pass",
    PUBLISHER,
)
UNANSWERED_OLDEST = _gauge(
    "understudy_unanswered_oldest_seconds",
    "seconds",
    "Since the oldest of these was written; 0 where there is none",
    PUBLISHER,
)
HELD_BACK = _gauge(
    "understudy_held_back_files",
    "files",
    "Files not published in the last pass: too many are published already",
    PUBLISHER,
)
FAILED_STEPS = _counter(
    "understudy_failed_steps_total", "steps", "Steps of a pass that failed, and are tried again in the next", PUBLISHER
)
LAST_PASS = _gauge(
    "understudy_last_pass_timestamp_seconds", "seconds since 1970", "When the last full pass ended; 0 before", PUBLISHER
)

# The comparison
LOG_E_VALUE = _gauge(
    "understudy_evidence_log_e_value",
    "natural logarithm",
    "Evidence that the one of a pair is better (direction: staging or production)",
    WATCH,
    production=(),
    staging=(),
    direction=(),
)
AGREEMENT = _gauge(
    "understudy_agreement_ratio",
    "ratio",
    "Rows to which both versions of a pair gave the same label",
    WATCH,
    production=(),
    staging=(),
)
COMPARED = _gauge(
    "understudy_compared_rows",
    "rows",
    "Rows that both versions of a pair have scored",
    WATCH,
    production=(),
    staging=(),
)
LAST_LOOK = _gauge(
    "understudy_last_look_timestamp_seconds", "seconds since 1970", "When the last complete look ended; 0 before", WATCH
)
