"""A stand-in for the one key of Google's metadata server that tells a spot VM that it is about to be taken away."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Thread
from urllib.parse import parse_qs, urlsplit

PATH = "/computeMetadata/v1/instance/preempted"
LONGEST_WAIT = 60.0


class Preempted:
    """The key's value, with an etag that changes as it does. `asked`: how often somebody has looked."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._value = False
        self.asked = 0

    def say(self, value: bool) -> None:
        """From now on the VM is about to be taken away, or not; told at once to all who wait."""
        with self._changed:
            self._value = value
            self._changed.notify_all()

    def look(self, last_etag: str, seconds: float) -> tuple[str, str]:
        """Value and etag: at once where the etag is not `last_etag`, else when it changes, or after `seconds`."""
        with self._changed:
            self.asked += 1
            self._changed.wait_for(lambda: self._etag != last_etag, timeout=seconds)
            return ("TRUE" if self._value else "FALSE"), self._etag

    @property
    def _etag(self) -> str:
        return "2" * 16 if self._value else "1" * 16


@contextmanager
def metadata_server() -> Iterator[tuple[Preempted, int]]:
    """The key, and the port of 127.0.0.1 that serves it."""
    preempted = Preempted()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(asked.query).items()}
            if asked.path != PATH or self.headers["Metadata-Flavor"] != "Google":
                self.send_error(404 if asked.path != PATH else 403)
                return
            waits = query.get("wait_for_change") == "true"
            seconds = min(float(query.get("timeout_sec", LONGEST_WAIT)), LONGEST_WAIT) if waits else 0.0
            value, etag = preempted.look(query.get("last_etag", ""), seconds)
            with suppress(ConnectionError):  # who asked may be off by now
                self.send_response(200)
                self.send_header("Metadata-Flavor", "Google")
                self.send_header("ETag", etag)
                self.send_header("Content-Length", str(len(value)))
                self.end_headers()
                self.wfile.write(value.encode())

        def log_message(self, *_arguments: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield preempted, server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
