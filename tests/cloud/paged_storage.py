"""Listings of a very large bucket, as Cloud Storage serves them: pages of a sorted list of names, counted.

fake-gcs-server sorts all objects for each page, and takes minutes to be filled with 10^5: this serves nothing but
listings, out of a function that makes names, so that the reader's memory is all that grows or does not.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import TracebackType
from urllib.parse import parse_qs, urlsplit

CREATED = "2026-01-02T03:04:05.678Z"


class PagedStorage:
    """A bucket that can only be listed. `names` are sorted by their UTF-8 bytes. Use as a context manager."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self.listings: list[dict[str, str]] = []
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.storage = self
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self) -> PagedStorage:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def page(self, asked: dict[str, str]) -> dict[str, object]:
        """One page, as the JSON API answers: https://cloud.google.com/storage/docs/json_api/v1/objects/list"""
        self.listings.append(asked)
        prefix, delimiter = asked.get("prefix", ""), asked.get("delimiter", "")
        most = min(int(asked.get("maxResults", 1000)), 1000)
        place = bisect_left(self.names, max(prefix, asked.get("startOffset", ""), asked.get("pageToken", "")))
        end = asked.get("endOffset", "")
        items: list[dict[str, str]] = []
        prefixes: list[str] = []
        while place < len(self.names) and len(items) + len(prefixes) < most:
            name = self.names[place]
            if not name.startswith(prefix) or (end and name >= end):
                place = len(self.names)
            elif delimiter and delimiter in name[len(prefix) :]:
                below = name[: name.index(delimiter, len(prefix)) + 1]
                prefixes.append(below)
                place = bisect_left(self.names, below[:-1] + chr(ord(below[-1]) + 1))
            else:
                items.append({"name": name, "generation": "7", "size": "100", "timeCreated": CREATED})
                place += 1
        token = {"nextPageToken": self.names[place]} if place < len(self.names) else {}
        return {"kind": "storage#objects", "items": items, "prefixes": prefixes, **token}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    storage: PagedStorage


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, format: str, *args: object) -> None:
        """Silence."""

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if not url.path.endswith("/o"):
            self.send_error(501, f"only listings are served here, not {url.path}")
            return
        answer = json.dumps(self.server.storage.page({k: v[0] for k, v in parse_qs(url.query).items()})).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
