"""A virtual machine in software: booted, listened to on its console, its power button pressed."""

from __future__ import annotations

import re
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

from tests.acceptance.checked import CheckFailed, expect, until
from tests.acceptance.guest_disk import Disks

HOST = "10.0.2.2"  # what the guest calls the machine it runs on: 127.0.0.1 there
MEMORY = "2560"  # MiB
LAST_LINES = 40

# The journal on the console is how the check sees what goes on; the cloud-config needs no word for it.
_APPEND = (
    "root=/dev/vda rw console=ttyS0 ds=nocloud systemd.journald.forward_to_console=1"
    " systemd.journald.max_level_console=info systemd.show_status=no"
)


class Guest:
    """A machine that runs. `began`: when it was switched on, by time.monotonic."""

    def __init__(self, process: subprocess.Popen[str], monitor: Path, console: Path) -> None:
        """`console`: a file that gets what is on the machine's console, for who looks on."""
        self._process, self._monitor, self._console = process, monitor, console
        self.began = time.monotonic()
        self._lines: list[tuple[float, str]] = []
        self._thread = Thread(target=self._listen, daemon=True)
        self._thread.start()

    def await_line(self, pattern: str, seconds: float, since: float = 0.0) -> float:
        """When the first line since then that has this pattern came, waiting for it. Raises CheckFailed."""
        seen, _ = until(lambda: self.heard(pattern, since), seconds, lambda: f"{pattern!r} on the console\n{self.told}")
        return seen

    def heard(self, pattern: str, since: float = 0.0) -> float | None:
        """When the first line since then that has this pattern came; None where none did."""
        return next((when for when, line in self._lines if when >= since and re.search(pattern, line)), None)

    def press_power_button(self) -> float:
        """As a person would, or Google; when that was."""
        pressed = time.monotonic()
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.settimeout(120)
            monitor.connect(str(self._monitor))
            monitor.sendall(b"system_powerdown\n")
            said = b""
            while said.count(b"(qemu)") < 2:  # its greeting's, and the one after the command is done
                part = monitor.recv(4096)
                expect(part != b"", f"the machine has ended by itself\n{self.told}")
                said += part
        return pressed

    def await_off(self, seconds: float) -> float:
        """Returns once it has switched itself off; when that was. Raises CheckFailed."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise CheckFailed(f"the machine is not off after {seconds:.0f} s\n{self.told}") from None
        return time.monotonic()

    @property
    def told(self) -> str:
        """The end of what was on its console."""
        return "\n".join(line for _, line in self._lines[-LAST_LINES:])

    def end(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._thread.join()
        if self._process.stdout:
            self._process.stdout.close()

    def _listen(self) -> None:
        with self._console.open("a", encoding="utf-8") as console:
            for line in self._process.stdout or ():
                self._lines.append((time.monotonic(), line.rstrip()))
                console.write(line)
                console.flush()


@contextmanager
def booted(disks: Disks, folder: Path) -> Iterator[Guest]:
    """Switches a machine on; in the end it is gone, however far it came."""
    monitor = folder / "monitor.sock"
    command = ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", MEMORY]
    command += ["-display", "none", "-no-reboot", "-serial", "stdio", "-monitor", f"unix:{monitor},server,nowait"]
    command += ["-kernel", str(disks.kernel), "-initrd", str(disks.initrd), "-append", _APPEND]
    for disk in (disks.root, disks.engine):
        command += ["-drive", f"file={disk},if=virtio,format=raw,cache=unsafe"]
    command += ["-drive", f"file={disks.seed},if=virtio,format=raw,readonly=on"]
    command += ["-nic", "user,model=virtio-net-pci"]
    with (folder / "qemu.log").open("ab") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    guest = Guest(process, monitor, folder / "console.log")
    try:
        yield guest
    finally:
        guest.end()
