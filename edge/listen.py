"""The options of a program that runs on, and the start of what it says of itself: log, traces, and the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field

from edge.address import host_and_port
from edge.command import Command

if TYPE_CHECKING:
    from edge.signals import Signals


def _address(text: str) -> str:
    if text:
        host_and_port(text)
    return text


Address = Annotated[str, AfterValidator(_address)]


class Listening(Command):
    """What every program that runs on has in common."""

    listen: Address = Field(
        "", description="HOST:PORT that serves /metrics, /healthz and /readyz, like 127.0.0.1:9464; empty: off"
    )
    stalled_seconds: float = Field(
        300.0, gt=0, description="without any progress for so long, though something waits, /healthz says 503"
    )
    trace: Literal["off", "otlp"] = Field(
        "off", description="otlp: one trace per file, to OTEL_EXPORTER_OTLP_ENDPOINT (needs requirements/tracing.txt)"
    )
    log_rows: bool = Field(
        False, description="log error texts that may quote what a row says; they are in the receipts"
    )

    def start_signals(self, program: str, log_level: str, project: str = "", **fields: str) -> Signals:
        """Starts log, traces and server; close the answer at the end. Raises CannotSignal, once there is a log.

        `project`: of Google Cloud, where one is known; `fields` are in each record and trace.
        """
        # Imported here: a scoring process imports this module too.
        from edge.log import start_log
        from edge.signals import Signals
        from edge.traces import log_fields, start_traces

        start_log(program, log_level, log_rows=self.log_rows, trace=lambda: log_fields(project), stream=None, **fields)
        traces = start_traces(program, self.trace, **fields)
        return Signals(program, self.listen, traces)
