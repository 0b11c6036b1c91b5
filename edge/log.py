"""The log: one event per step, with fields; readable lines on a terminal, JSON elsewhere, always on stderr.

The JSON has the field names of Google Cloud Logging (`severity`, `message`, `logging.googleapis.com/trace` …), and
what libraries log through the standard module is in the same form. What a row says is in no record, unless asked for.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor

from edge.terminal import harmless

LEVELS = ("debug", "info", "warning", "error")
NOT_LOGGED = "not logged, as it may quote a row; the receipt has it, and UNDERSTUDY_LOG_ROWS=true logs it"


class MayQuoteRows(str):
    """A text that may quote what a row says: a log shows it only where it was started with `log_rows`."""


def no_trace() -> Mapping[str, str]:
    """The fields of a record outside any trace: none."""
    return {}


def start_log(
    program: str,
    level: str = "info",
    *,
    log_rows: bool = False,
    trace: Callable[[], Mapping[str, str]] = no_trace,
    stream: TextIO | None = None,
    **fields: str,
) -> None:
    """Sets up the log of this process once, before anything is logged; `fields` are in each of its records.

    `level` is one of LEVELS; `trace` gives the fields that name the trace which a record belongs to.
    """
    out = stream or sys.stderr
    threshold = getattr(logging, level.upper())

    def add_fields(_logger: object, _method: str, event: EventDict) -> EventDict:
        return {"program": program, **fields, **trace(), **event}

    def leave_out_rows(_logger: object, _method: str, event: EventDict) -> EventDict:
        return {key: NOT_LOGGED if isinstance(value, MayQuoteRows) else value for key, value in event.items()}

    prepared: list[Processor] = [
        *([] if log_rows else [leave_out_rows]),
        add_fields,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    ]
    # A traceback as text, without the values of variables: those may be rows of a file.
    written: list[Processor] = [
        _show_controls,
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
    ]
    if not out.isatty():
        written = [
            _severity,
            structlog.processors.format_exc_info,
            structlog.processors.EventRenamer("message"),
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ]
    structlog.configure(
        processors=[*prepared, *written],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.PrintLoggerFactory(out),
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *prepared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *written],
        )
    )
    # Only the warnings of libraries concern an operator.
    logging.basicConfig(level=max(threshold, logging.WARNING), handlers=[handler])


def _severity(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Cloud Logging's word for the level."""
    event["severity"] = str(event.pop("level")).upper()
    return event


def _show_controls(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Anybody may name a file: a terminal must show control characters in a name, and not obey them."""
    return {key: harmless(value) if isinstance(value, str) else value for key, value in event.items()}
