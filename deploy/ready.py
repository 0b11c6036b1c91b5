"""When the programs that were started are ready, as their logs and ports say; and which is not, and why."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.waiting import NotInTime, wait_for

SECONDS = 180.0  # a worker loads its models in some seconds; a busy machine takes many times as long
WAITS = "waiting for a production version"


@dataclass(frozen=True)
class Started:
    """A program that was started. `log`: its file, of which what came before `since` (bytes) is another start's.

    Ready once its log has one of the `events`, or a program listens on `port` where there are none.
    """

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    since: int
    events: tuple[str, ...] = ()
    port: int = 0

    def is_ready(self) -> bool:
        """True from the moment it can do its work on, and where it waits for a version to be promoted."""
        if not self.events:
            return listens(self.port)
        return self.waits() is not None or any(entry.get("message") in self.events for entry in self._entries())

    def waits(self) -> str | None:
        """What a worker without a production version waits for, and what to do; None for every other program."""
        of_waiting = [entry for entry in self._entries() if entry.get("message") == WAITS]
        ready = any(entry.get("message") in self.events for entry in self._entries())
        if ready or not of_waiting:
            return None
        return f"{of_waiting[-1].get('reason', WAITS)}; {of_waiting[-1].get('todo', '')}"

    def last_said(self) -> str:
        """The last line of its log: a program that ends says why."""
        lines = self._text().strip().splitlines()
        entry = _read(lines[-1]) if lines else {}
        said = [str(entry[part]) for part in ("message", "error", "reason") if entry.get(part)]
        return ": ".join(said) or (lines[-1] if lines else "its log is empty")

    def _entries(self) -> Iterator[dict[str, Any]]:
        return (entry for line in self._text().splitlines() if (entry := _read(line)))

    def _text(self) -> str:
        with self.log.open("rb") as log:
            log.seek(self.since)
            return log.read().decode(errors="replace")


def wait(programs: Sequence[Started], tell: Callable[[str], None], seconds: float = SECONDS) -> list[str]:
    """Waits until each program is ready, and tells which it waits for; gives what is wrong, a sentence per program.

    A program that ends meanwhile is not waited for.
    """
    told = ""

    def settled() -> bool:
        nonlocal told
        missing = [one.name for one in programs if not one.is_ready()]
        if not missing or any(one.process.poll() is not None for one in programs):
            return True
        now = f"waiting for {', '.join(missing)}"
        if now != told:
            tell(now)
            told = now
        return False

    with suppress(NotInTime):
        wait_for(settled, seconds=seconds, every=0.1)
    if ended := [one for one in programs if one.process.poll() is not None]:
        return [f"{one.name} ended with status {one.process.returncode}: {one.last_said()}" for one in ended]
    late = [one for one in programs if not one.is_ready()]
    return [f"{one.name} is not ready after {seconds:g} s: {one.last_said()}" for one in late]


def listens(port: int) -> bool:
    """True where a program answers on this port of 127.0.0.1."""
    with socket.socket() as asked:
        asked.settimeout(1.0)
        return asked.connect_ex(("127.0.0.1", port)) == 0


def _read(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
