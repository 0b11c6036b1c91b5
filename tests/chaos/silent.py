"""A server that never answers."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress


class Silent:
    """A server that takes every connection and never says a word."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self._connections: list[socket.socket] = []
        self.called = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self) -> str:
        return "{}:{}".format(*self._server.getsockname())

    def close(self) -> None:
        self._server.close()
        for connection in self._connections:
            connection.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                self._connections.append(self._server.accept()[0])
                self.called.set()
