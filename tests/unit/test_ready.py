"""What `make up` waits for: programs that say in their log that they are ready, or listen on a port."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.ready import WAITS, Started, listens, wait

Start = Callable[..., Started]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """A program that says these lines and then lives on, or ends with a status."""
    running: list[subprocess.Popen[bytes]] = []

    def started(name: str, *said: object, status: int | None = None, **how: object) -> Started:
        log = tmp_path / f"{name}.log"
        log.write_text('{"message": "ready"}\n')  # of the start before
        since = log.stat().st_size
        with log.open("a") as file:
            file.writelines(line if isinstance(line, str) else json.dumps(line) + "\n" for line in said)
        code = "input()" if status is None else f"raise SystemExit({status})"
        process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
        running.append(process)
        return Started(name, process, log, since, **{"events": ("ready",), **how})  # type: ignore[arg-type]

    yield started
    for process in running:
        process.communicate(b"\n")


def test_it_waits_for_what_is_missing_and_says_so_once(start: Start) -> None:
    first, second = start("first", {"message": "ready"}), start("second", "no JSON\n", {"message": "begins"})
    told: list[str] = []

    def tell(text: str) -> None:
        told.append(text)
        with second.log.open("a") as log:
            log.write('{"message": "ready"}\n')

    assert wait([first, second], tell) == []
    assert told == ["waiting for second"]


def test_what_ends_or_is_late_is_named_with_its_last_words(start: Start) -> None:
    ended = start("ended", {"message": "cannot start", "error": "the port is taken"}, status=2)
    late = start("late", {"message": "begins"})
    ended.process.wait()

    assert wait([late, ended], lambda _: None) == ["ended ended with status 2: cannot start: the port is taken"]
    assert wait([late], lambda _: None, seconds=0.0) == ["late is not ready after 0 s: begins"]


def test_a_worker_without_a_production_version_is_up_and_says_what_to_do(start: Start) -> None:
    waiting = {"message": WAITS, "reason": "no version has the alias", "todo": "promote one"}
    worker = start("worker-1", waiting)

    assert wait([worker], lambda _: None) == []
    assert worker.waits() == "no version has the alias; promote one"
    assert start("worker-2", waiting, {"message": "ready"}).waits() is None


def test_a_program_without_such_a_line_is_ready_once_it_listens(start: Start) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
        served = start("served", events=(), port=port)
        assert not listens(port)
        assert wait([served], lambda _: server.listen()) == []
