"""The options of a program that serves its signals: --listen, and when it counts as stalled."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from edge.command import Command


def host_and_port(text: str) -> tuple[str, int]:
    """`127.0.0.1:9464` or `[::1]:9464` as its two parts. Raises ValueError for other text."""
    host, colon, port = text.strip().rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (colon and host and port.isascii() and port.isdigit() and int(port) < 1 << 16):
        raise ValueError(f"{text!r} is not an address: write HOST:PORT, like 127.0.0.1:9464")
    return host, int(port)


def _address(text: str) -> str:
    if text:
        host_and_port(text)
    return text


class Listening(Command):
    """What every program that runs on has in common."""

    listen: Annotated[str, AfterValidator(_address)] = Field(
        "", description="HOST:PORT that serves /metrics, /healthz and /readyz, like 127.0.0.1:9464; empty: off"
    )
    stalled_seconds: float = Field(
        300.0, gt=0, description="without any progress for so long, though something waits, /healthz says 503"
    )
