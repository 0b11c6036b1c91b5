"""The log: one event per step, with fields; readable lines on a terminal, JSON elsewhere, always on stderr."""

from __future__ import annotations

import logging
import sys
from typing import TextIO

import structlog

LEVELS = ("debug", "info", "warning", "error")


def start_log(program: str, level: str = "info", stream: TextIO | None = None) -> None:
    """Sets up the log of this process once, before anything is logged. `level` is one of LEVELS."""
    out = stream or sys.stderr
    terminal = out.isatty()
    threshold = getattr(logging, level.upper())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            structlog.processors.dict_tracebacks if not terminal else structlog.processors.format_exc_info,
            structlog.processors.EventRenamer("message") if not terminal else _unchanged,
            structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.PrintLoggerFactory(out),
    )
    structlog.contextvars.bind_contextvars(program=program)
    # Libraries log through the standard module; only their warnings concern an operator.
    logging.basicConfig(stream=out, level=max(threshold, logging.WARNING), format="%(asctime)s %(name)s %(message)s")


def _unchanged(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    return event
