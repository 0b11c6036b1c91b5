"""The log: one event per step, with fields; readable lines on a terminal, JSON elsewhere, always on stderr."""

from __future__ import annotations

import logging
import sys
from typing import TextIO

import structlog

LEVELS = ("debug", "info", "warning", "error")


def start_log(program: str, level: str = "info", *, stream: TextIO | None = None, **fields: str) -> None:
    """Sets up the log of this process once, before anything is logged; `fields` are in each of its records.

    `level` is one of LEVELS.
    """
    out = stream or sys.stderr
    terminal = out.isatty()
    threshold = getattr(logging, level.upper())

    def add_fields(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        return {"program": program, **fields, **event}

    written: list[structlog.typing.Processor] = [
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    ]
    if not terminal:
        # A traceback as text, without the values of variables: those may be rows of a file.
        written = [
            structlog.processors.format_exc_info,
            structlog.processors.EventRenamer("message"),
            structlog.processors.JSONRenderer(),
        ]
    structlog.configure(
        processors=[
            add_fields,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            *written,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.PrintLoggerFactory(out),
    )
    # Libraries log through the standard module; only their warnings concern an operator.
    logging.basicConfig(stream=out, level=max(threshold, logging.WARNING), format="%(asctime)s %(name)s %(message)s")
