"""A small HTTP server for what a program says of itself: no client can keep it from answering the others.

One thread holds all connections. A client has PATIENCE seconds for its whole request and as many to take the answer,
even if it sends byte by byte. Where all places are taken, the oldest client without a whole request is cut off: so a
client that asks at once is always answered.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from threading import Thread

CONNECTIONS = 256  # at once
PATIENCE = 5.0
MAX_HEAD = 8_192  # bytes of a request
HEALTH, READY, FIGURES = "/healthz", "/readyz", "/metrics"


@dataclass(frozen=True)
class Answer:
    """What goes back: `kind` is the content type, `headers` are sent besides."""

    status: int
    kind: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


MISDIRECTED = Answer(421, "text/plain", b"Pages of this machine answer to localhost and to an IP address alone.\n")

Answering = Callable[[str, str], Answer]
"""The answer for a path and an Accept header. Never raises."""


class Server:
    """Serves from the moment it is made, in a thread of its own, until `close`."""

    def __init__(self, host: str, port: int, answer: Answering) -> None:
        """Raises OSError where nothing can listen there. `answer` is called in other threads."""
        self._answer = answer
        self._socket = _listen(host, port)
        self._only_here = ipaddress.ip_address(self._socket.getsockname()[0]).is_loopback
        self.port: int = self._socket.getsockname()[1]
        self._asking: dict[asyncio.StreamWriter, None] = {}  # those without a whole request yet, the oldest first
        self._open = 0
        answers = ThreadPoolExecutor(4, thread_name_prefix="signals-answer")
        # No other answer delays health, and no page the figures.
        self._threads = {
            HEALTH: ThreadPoolExecutor(1, thread_name_prefix="signals-health"),
            READY: answers,
            FIGURES: answers,
        }
        self._pages = ThreadPoolExecutor(2, thread_name_prefix="signals-page")
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._thread = Thread(target=self._loop.run_until_complete, args=(self._serve(),), daemon=True, name="signals")
        self._thread.start()

    def close(self) -> None:
        """Ends it, at once."""
        with suppress(RuntimeError):  # closed already
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()
        for threads in (*self._threads.values(), self._pages):
            threads.shutdown(wait=False, cancel_futures=True)
        self._loop.close()

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._met, sock=self._socket, limit=MAX_HEAD)
        await self._stopping.wait()
        # What asyncio has accepted, but not begun, when its server closes is never closed. So accepting ends first, and
        # every connection becomes a task of ours.
        self._loop.remove_reader(self._socket)
        while any(getattr(task.get_coro(), "__name__", "") != self._met.__name__ for task in _others()):
            await asyncio.sleep(0)
        server.close()
        tasks = _others()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # the turn of the loop in which dropped connections close their sockets

    async def _met(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        self._asking[writer] = None
        if self._open > CONNECTIONS and len(self._asking) > 1:
            oldest = next(iter(self._asking))
            self._asking.pop(oldest)
            oldest.transport.abort()
        try:
            async with asyncio.timeout(PATIENCE):
                head = await _head(reader)
            self._asking.pop(writer, None)
            writer.write(await self._respond(head))
            async with asyncio.timeout(PATIENCE):
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (OSError, EOFError, TimeoutError, asyncio.CancelledError):
            pass  # the client went away, or was too slow, or the server ends
        finally:
            self._asking.pop(writer, None)
            self._open -= 1
            writer.transport.abort()  # nothing where it is closed

    async def _respond(self, head: bytes | None) -> bytes:
        if head is None:
            return _response(Answer(431, "text/plain", b""))
        first, *fields = head.decode("latin-1").split("\r\n")
        method, _, rest = first.partition(" ")
        if method not in ("GET", "HEAD"):
            return _response(Answer(405, "text/plain", b"", {"Allow": "GET, HEAD"}))
        path = rest.partition(" ")[0].partition("?")[0]
        named = {name.strip().lower(): value.strip() for name, _, value in (each.partition(":") for each in fields)}
        if self._only_here and path not in self._threads and not _names_here(named.get("host", "localhost")):
            return _response(MISDIRECTED)
        threads = self._threads.get(path, self._pages)
        answer = await self._loop.run_in_executor(threads, self._answer, path, named.get("accept", ""))
        return _response(answer, with_body=method == "GET")


def _names_here(host: str) -> bool:
    """True for a Host that only this machine can have: a site elsewhere may bend its own name to 127.0.0.1."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")
    return True


def _others() -> set[asyncio.Task[object]]:
    """Every task of this loop but the one that asks."""
    return {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}


def _listen(host: str, port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(CONNECTIONS)
    except BaseException:
        listening.close()
        raise
    return listening


async def _head(reader: asyncio.StreamReader) -> bytes | None:
    """The request up to its empty line; None where it is longer than MAX_HEAD."""
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        return None


def _response(answer: Answer, *, with_body: bool = True) -> bytes:
    fields = {
        "Content-Type": answer.kind,
        "Content-Length": str(len(answer.body)),
        "Connection": "close",
        "X-Content-Type-Options": "nosniff",
        **answer.headers,
    }
    lines = [f"HTTP/1.0 {answer.status} {HTTPStatus(answer.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in fields.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (answer.body if with_body else b"")
