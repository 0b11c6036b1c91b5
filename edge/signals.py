"""What a program says of itself over HTTP: /metrics, /healthz, /readyz, and its pages where it has some.

It reads, and never waits for the work.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

import structlog
from prometheus_client.exposition import choose_encoder

from edge import metrics, traces
from edge.address import CannotSignal, host_and_port
from edge.server import FIGURES, HEALTH, READY, Answer, Server

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

log = structlog.get_logger()

JSON = "application/json; charset=utf-8"

Checks = Mapping[str, str]
"""Name of a check → what is wrong, in words; empty where all is well."""


Pages = Callable[[str], Answer | None]
"""The page of a path, None where there is none. It may be slow: health and figures do not wait for it."""


class ProgramVitals(Protocol):
    """How a program is. Each method is quick, may be called by any thread, and leaves the work alone."""

    def health(self) -> Checks:
        """What a restart would cure."""

    def readiness(self) -> Checks:
        """What keeps it from doing work now."""

    def refresh(self) -> None:
        """Sets the figures that are not counted as things happen, but looked up."""


class Starting:
    """A program that is still starting."""

    def health(self) -> Checks:
        return {"start": ""}

    def readiness(self) -> Checks:
        return {"start": "it is still starting"}

    def refresh(self) -> None:
        return


class Signals:
    """The server of one program, from the moment it is made; without an address there is none. Close it at the end."""

    def __init__(self, program: str, address: str, tracing: TracerProvider | None = None) -> None:
        """Raises CannotSignal. `tracing`: what `start_traces` gave, ended with the server."""
        self.program = program
        self._tracing = tracing
        self.vitals: ProgramVitals = Starting()
        self.pages: Pages | None = None
        self.url = ""
        self._registry = metrics.registry(program)
        self._server: Server | None = None
        if not address:
            return
        host, port = host_and_port(address)
        try:
            self._server = Server(host, port, self.answer)
        except OSError as error:
            raise CannotSignal(
                f"--listen {address}: {error.strerror or error}; is another program listening there?"
            ) from None
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self._server.port}"
        log.info("listening", url=self.url)

    def __enter__(self) -> Signals:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the server, and sends the traces that are left."""
        if self._server is not None:
            self._server.close()
        traces.stop_traces(self._tracing)

    def answer(self, path: str, accept: str) -> Answer:
        """What a path is answered with. Never raises: an error is an answer of 500 that says which."""
        try:
            if path == FIGURES:
                return self._figures(accept)
            if path in (HEALTH, READY):
                checks = self.vitals.health() if path == HEALTH else self.vitals.readiness()
                return _verdict(self.program, checks)
            if self.pages is not None and (page := self.pages(path)) is not None:
                return page
        except Exception as error:
            log.exception("signals failed", path=path)
            return _json(500, {"program": self.program, "error": repr(error)[:300]})
        paths = [*([] if self.pages is None else ["/"]), FIGURES, HEALTH, READY]
        return _json(404, {"program": self.program, "paths": paths})

    def _figures(self, accept: str) -> Answer:
        vitals = self.vitals
        vitals.refresh()
        metrics.HEALTHY.set(not any(vitals.health().values()))
        metrics.READY.set(not any(vitals.readiness().values()))
        encode, content_type = choose_encoder(accept)
        return Answer(200, content_type, encode(self._registry))


def _verdict(program: str, checks: Checks) -> Answer:
    failing = any(checks.values())
    shown = {what: wrong or "ok" for what, wrong in checks.items()}
    body = {"status": "failing" if failing else "ok", "program": program, "checks": shown}
    return _json(503 if failing else 200, body)


def _json(status: int, content: object) -> Answer:
    return Answer(status, JSON, json.dumps(content, ensure_ascii=False).encode() + b"\n")
