"""The processes of a running program, as /proc shows them."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

MB = 1 << 20


def children(pid: int) -> list[int]:
    """Process ids of the direct children of a process, whichever of its threads made them."""
    found: list[int] = []
    for thread in entries(f"/proc/{pid}/task"):
        found += map(int, _read(f"/proc/{pid}/task/{thread}/children").split())
    return found


def scoring_processes(pid: int) -> list[int]:
    """Those that a process has started and that live; multiprocessing is not asked, it would reap the dead."""
    return [child for child in children(pid) if b"spawn_main" in _read(f"/proc/{child}/cmdline")]


def open_files(pid: int) -> set[str]:
    """Paths of the files that a process has open."""
    paths = set()
    for number in entries(f"/proc/{pid}/fd"):
        with suppress(OSError):
            paths.add(os.readlink(f"/proc/{pid}/fd/{number}"))
    return paths


def peak(pid: int) -> int:
    """The most memory that a process has had resident, in bytes."""
    [kilobytes] = re.findall(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(kilobytes) * 1024


def bytes_read(pid: int) -> int:
    """How many bytes a process has read so far, of files and of pipes."""
    [count] = re.findall(r"rchar: (\d+)", Path(f"/proc/{pid}/io").read_text())
    return int(count)


def entries(folder: str) -> list[str]:
    """What lies in a folder; nothing where it is gone."""
    try:
        return os.listdir(folder)
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return []


def send(pid: int, number: int) -> None:
    """A signal to a process that may be gone already."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""
