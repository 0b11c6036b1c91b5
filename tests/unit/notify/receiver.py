"""A receiver of messages on this machine, that answers as a test wants it to."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import NamedTuple

Answer = Callable[[BaseHTTPRequestHandler], None]


class Request(NamedTuple):
    path: str
    headers: dict[str, str]  # by their names in small letters
    body: bytes


@dataclass
class Receiver:
    """`got`: every request whose body came in whole; `answers`: one after the other, the last for all that follow."""

    url: str
    got: list[Request] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    ending: Event = field(default_factory=Event)


def status(code: int, **headers: str) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(code, HTTPStatus(code).phrase)
        for name, value in headers.items():
            request.send_header(name.replace("_", "-"), value)
        request.send_header("Content-Length", "0")
        request.end_headers()

    return answer


def garbage(request: BaseHTTPRequestHandler) -> None:
    """Not HTTP at all."""
    request.wfile.write(b"\x00\xffnonsense\r\n\r\n" * 10)


def hang_up(request: BaseHTTPRequestHandler) -> None:
    """The connection ends without an answer."""
    request.connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def receiver(*answers: Answer, port: int = 0) -> Iterator[Receiver]:
    """Answers 200 where nothing else is said."""

    class Answering(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = known.answers[min(len(known.got), len(known.answers) - 1)]
            known.got.append(Request(self.path, headers, body))
            with suppress(OSError):  # the client may have gone
                answer(self)
            self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Answering)
    server.daemon_threads = True
    known = Receiver(f"http://127.0.0.1:{server.server_port}")
    known.answers = list(answers) or [status(200)]
    thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield known
    finally:
        known.ending.set()
        server.shutdown()
        server.server_close()
        thread.join()


def never(known: Receiver) -> Answer:
    """Takes the request, and does not answer while the test runs."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        known.ending.wait()

    return answer
