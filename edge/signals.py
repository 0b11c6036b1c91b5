"""What a program says of itself over HTTP: /metrics, /healthz and /readyz. It reads, and never waits for the work."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

import structlog
from prometheus_client.exposition import choose_encoder

from edge import metrics, traces
from edge.address import CannotSignal, host_and_port
from edge.server import HEALTH, Server

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

log = structlog.get_logger()

JSON = "application/json; charset=utf-8"

Checks = Mapping[str, str]
"""Name of a check → what is wrong, in words; empty where all is well."""


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

    def answer(self, path: str, accept: str) -> tuple[int, str, bytes]:
        """Status, content type and body for a path. Never raises: an error is an answer of 500 that says which."""
        try:
            if path == "/metrics":
                return 200, *self._figures(accept)
            if path in (HEALTH, "/readyz"):
                checks = self.vitals.health() if path == HEALTH else self.vitals.readiness()
                return _verdict(self.program, checks)
        except Exception as error:
            log.exception("signals failed", path=path)
            return 500, JSON, _json({"program": self.program, "error": repr(error)[:300]})
        return 404, JSON, _json({"program": self.program, "paths": ["/metrics", HEALTH, "/readyz"]})

    def _figures(self, accept: str) -> tuple[str, bytes]:
        vitals = self.vitals
        vitals.refresh()
        metrics.HEALTHY.set(not any(vitals.health().values()))
        metrics.READY.set(not any(vitals.readiness().values()))
        encode, content_type = choose_encoder(accept)
        return content_type, encode(self._registry)


def _verdict(program: str, checks: Checks) -> tuple[int, str, bytes]:
    failing = any(checks.values())
    shown = {what: wrong or "ok" for what, wrong in checks.items()}
    body = {"status": "failing" if failing else "ok", "program": program, "checks": shown}
    return 503 if failing else 200, JSON, _json(body)


def _json(content: object) -> bytes:
    return json.dumps(content, ensure_ascii=False).encode() + b"\n"
