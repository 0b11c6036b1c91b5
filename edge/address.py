"""The address of this machine at which a program answers questions about itself."""

from __future__ import annotations


class CannotSignal(Exception):
    """The program cannot say what it was asked to say of itself; the text says why."""


def host_and_port(text: str) -> tuple[str, int]:
    """`127.0.0.1:9464` or `[::1]:9464` as its two parts. Raises ValueError for other text."""
    host, colon, port = text.strip().rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (colon and host and port.isascii() and port.isdigit() and int(port) < 1 << 16):
        raise ValueError(f"{text!r} is not an address: write HOST:PORT, like 127.0.0.1:9464")
    return host, int(port)
