"""What `make vm-check` concludes from a machine's console and monitor; a script stands for the machine."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest

from tests.acceptance.checked import CheckFailed
from tests.acceptance.guest import Guest
from tests.acceptance.vm_check import FILES, await_drained

ANOTHER = "docker.service: Deactivated successfully."
DRAINED = "understudy.service: Deactivated successfully."
KILLED = "understudy.service: Failed with result 'exit-code'."  # what systemd says after a SIGKILL in the container
Machine = Callable[..., Guest]


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """Makes machines whose console says these lines, and which then stand."""
    made = []

    def says(*lines: str) -> Guest:
        script = "".join(f'echo "{line}"\n' for line in lines) + "exec sleep 600"
        process = subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, text=True)
        made.append(Guest(process, tmp_path / "monitor.sock", tmp_path / "console.log"))
        return made[-1]

    yield says
    for guest in made:
        guest.end()


def files_left(count: int) -> Any:
    return SimpleNamespace(dropped_files=SimpleNamespace(without_receipt=["a.csv"] * count))


def test_a_worker_that_ends_by_itself_with_files_left_has_drained(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    await_drained(machine(ANOTHER, DRAINED), 0.0, files_left(3), "the notice")

    assert f"with 3 of {FILES} files left" in capsys.readouterr().out


def test_a_worker_that_had_to_be_killed_has_not(machine: Machine) -> None:
    with pytest.raises(CheckFailed, match="the notice: the worker did not drain") as failed:
        await_drained(machine(ANOTHER, KILLED), 0.0, files_left(3), "the notice")

    assert KILLED in str(failed.value)


def test_a_drain_without_load_shows_nothing(machine: Machine) -> None:
    with pytest.raises(CheckFailed, match="there was no load"):
        await_drained(machine(DRAINED), 0.0, files_left(0), "the notice")


def test_what_was_said_before_does_not_count(machine: Machine) -> None:
    guest = machine(DRAINED)
    said = guest.await_line("Deactivated", 120)

    assert guest.heard("Deactivated", said) == said
    assert guest.heard("Deactivated", said + 1e-6) is None


def test_the_button_of_a_machine_that_has_ended_is_not_pressed_for_ever(machine: Machine, tmp_path: Path) -> None:
    # given: a monitor that greets, and ends
    guest = machine("Kernel panic")
    guest.await_line("panic", 120)
    with socket.socket(socket.AF_UNIX) as monitor:
        monitor.bind(str(tmp_path / "monitor.sock"))
        monitor.listen()

        def greet_and_end() -> None:
            peer, _ = monitor.accept()
            with peer:
                peer.sendall(b"QEMU 7.2 monitor\r\n(qemu) ")
                peer.recv(100)

        ending = Thread(target=greet_and_end)
        ending.start()

        # when, then
        with pytest.raises(CheckFailed, match=r"ended by itself\nKernel panic"):
            guest.press_power_button()
        ending.join()
