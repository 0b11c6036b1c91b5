"""An HTTP proxy that does to chosen requests what networks and overloaded servers do.

It stands between a storage client and fake-gcs-server: STORAGE_EMULATOR_HOST is its `url`. `plan` is asked about each
request and answers with a Fault or None.
"""

from __future__ import annotations

import http.client
import json
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from transport.buckets.gcs.bucket import GcsBucket


@dataclass(frozen=True)
class Fault:
    """`kind`: what happens to the request.

    `status` answers with that status instead of passing it on; `reset` cuts the connection instead; `lose` passes it
    on and cuts the connection instead of answering; `late` passes it on, and answers with that status; `cut` ends the
    answer's body at byte `at`; `stall` does so without closing the connection; `damage` changes the byte at `at`;
    `silence` takes it, and does nothing about it.
    """

    kind: str
    at: int = 0
    status: int = 503
    message: str = "made up"


@dataclass(frozen=True)
class Request:
    """One request that came: its number (from 0), what it asked, and the beginning of its body."""

    number: int
    method: str
    path: str
    start: bytes = b""


HASTY = (10.0, 0.3)  # seconds to connect, and without a byte
Plan = Callable[[Request], Fault | None]


class FaultProxy:
    """For use in a `with` block. `requests` are those that came; set `plan` at any time.

    `statuses`: number of a request → what the server answered, whatever became of that on the way.
    """

    def __init__(self, target: str, plan: Plan | None = None) -> None:
        self.target = urlsplit(target)
        self.plan: Plan = plan or (lambda _request: None)
        self.requests: list[Request] = []
        self.statuses: dict[int, int] = {}
        self.released = threading.Event()
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.proxy = self
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self) -> FaultProxy:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.released.set()  # whoever stalls goes home
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def forget(self) -> None:
        """Starts counting again."""
        with self._lock:
            self.requests.clear()
            self.statuses.clear()

    def take(self, method: str, path: str, body: bytes) -> tuple[Request, Fault | None]:
        with self._lock:
            request = Request(len(self.requests), method, path, body[:16384])
            self.requests.append(request)
        return request, self.plan(request)


def fail_once(proxy: FaultProxy, bucket: GcsBucket, number: int, fault: Fault) -> None:
    """Counts again; the request of that number (from 0) fails when it is first made, and no other.

    That request alone does not wait long for its answer. All others have their time: a slow answer that is asked for
    again would make another number of requests.
    """
    session, numbers = bucket._api.session, count()
    request = type(session).request

    def one_is_hasty(*arguments: Any, **named: Any) -> Any:
        if next(numbers) == number:
            named["timeout"] = HASTY
        return request(session, *arguments, **named)

    session.request = one_is_hasty  # type: ignore[method-assign]
    proxy.forget()
    proxy.plan = lambda request: fault if request.number == number else None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    proxy: FaultProxy

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up on a cut answer is what this is about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each answer waits 40 ms for the client's kernel
    server: _Server

    def log_message(self, format: str, *args: object) -> None:
        """Silence."""

    def do_GET(self) -> None:
        proxy = self.server.proxy
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request, fault = proxy.take(self.command, self.path, body)
        if fault and fault.kind == "status":
            self._refuse(fault)
        elif fault and fault.kind == "reset":
            self._reset()
        elif fault and fault.kind == "silence":
            proxy.released.wait()
            self._reset()
        else:
            status, headers, answer = self._pass_on(body)
            proxy.statuses[request.number] = status
            if fault is None:
                self._answer(status, headers, answer, len(answer))
            elif fault.kind == "lose":
                self._reset()
            elif fault.kind == "late":
                self._refuse(fault)
            elif fault.kind == "damage":
                damaged = answer[: fault.at] + bytes([answer[fault.at] ^ 1]) + answer[fault.at + 1 :]
                self._answer(status, headers, damaged, len(answer))
            elif fault.kind == "stall":
                self._stall(status, headers, answer, fault.at)
            else:
                self._answer(status, headers, answer[: fault.at], len(answer))
                self.close_connection = True

    do_POST = do_PUT = do_DELETE = do_PATCH = do_GET

    def _pass_on(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        target = self.server.proxy.target
        connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=30)
        try:
            headers = {**dict(self.headers), "Host": target.netloc, "Connection": "close"}
            connection.request(self.command, self.path, body, headers)
            response = connection.getresponse()
            answer = response.read()
            kept = {key: value for key, value in response.getheaders() if key.lower() not in ("connection", "date")}
            if "Location" in kept:  # an upload in parts goes on through here as well
                kept["Location"] = kept["Location"].replace(target.geturl(), self.server.proxy.url)
            return response.status, kept, answer
        finally:
            connection.close()

    def _answer(self, status: int, headers: dict[str, str], body: bytes, length: int) -> None:
        self.send_response(status)
        for key, value in headers.items():
            if key.lower() not in ("content-length", "transfer-encoding"):
                self.send_header(key, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
            self.wfile.flush()

    def _refuse(self, fault: Fault) -> None:
        answer = json.dumps({"error": {"code": fault.status, "message": fault.message}}).encode()
        self._answer(fault.status, {"Content-Type": "application/json"}, answer, len(answer))

    def _stall(self, status: int, headers: dict[str, str], answer: bytes, at: int) -> None:
        """Something is always missing: the last byte of a short answer, all of one that has no body."""
        if answer:
            self._answer(status, headers, answer[: min(at, len(answer) - 1)], len(answer))
        self.server.proxy.released.wait()
        self._reset()

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()
