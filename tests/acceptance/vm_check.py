"""`make vm-check`: a real virtual machine, from the very cloud-config of the Terraform module, taken away under load.

Twice: by a spot VM's notice from (a stand-in for) the metadata server, and by the power button. What it had in its
hands is scored by a worker on this machine, where its Pub/Sub, Cloud Storage (emulators) and MLflow are too.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.acceptance.checked import checked, expect, tell, until
from tests.acceptance.cloud_config import rendered
from tests.acceptance.debian import MACHINE, need, need_root
from tests.acceptance.dropped import sample
from tests.acceptance.engine import engine
from tests.acceptance.guest import HOST, Guest, booted
from tests.acceptance.guest_disk import Disks, make_disks
from tests.acceptance.images import build
from tests.acceptance.metadata_server import Preempted, metadata_server
from tests.acceptance.stand_ins import need_emulators
from tests.acceptance.vm_services import Services, services

BOOT_SECONDS, SCORE_SECONDS, STOP_SECONDS = 1800.0, 900.0, 600.0  # of patience: a machine may be busy
# Of each load: more than the machine can score before it is told to end, and little of it in its hands at a time, for a
# busy machine that emulates another: that one has to be done with these in 25 of its seconds.
FILES, ROWS = 80, 1_000
READY, TOLD = r"worker ready", r"this VM is about to be taken away"
ENDED = r"understudy\.service: (Deactivated successfully|Failed with result)"
DRAINED = r"understudy\.service: Deactivated successfully"  # with 0: its engine did not have to kill it, after 25 s


def check(folder: Path) -> None:
    need_root("a virtual machine's disk, and a Docker engine,")
    need(MACHINE)
    need_emulators()
    image_tar = folder / "image.tar"
    with engine(folder) as docker:
        (worker,) = build(docker, folder, ["worker"])
        docker.run("save", "--output", str(image_tar), worker.image)
    with services(folder) as shared, metadata_server() as (preempted, metadata_port):
        user_data = rendered(
            image=worker.image,
            image_from="here",
            memory="1500m",
            environment=shared.environment(HOST),
            metadata_host=f"{HOST}:{metadata_port}",
        )
        disks = make_disks(folder, user_data, image_tar)
        image_tar.unlink()
        _by_notice(shared, disks, folder, preempted)
        _by_power_button(shared, disks, folder, preempted)


def _by_notice(shared: Services, disks: Disks, folder: Path, preempted: Preempted) -> None:
    with booted(disks, folder) as guest:
        ready = _await_first_file(shared, guest, "notice")
        until(lambda: preempted.asked, SCORE_SECONDS, lambda: f"somebody asks the metadata server\n{guest.told}")
        _load(shared, guest, "spot")
        preempted.say(True)
        told = guest.await_line(TOLD, STOP_SECONDS, since=ready)
        await_drained(guest, told, shared, "the notice that the VM is about to be taken away")
        guest.press_power_button()
        guest.await_off(STOP_SECONDS)
    _score_here(shared)


def _by_power_button(shared: Services, disks: Disks, folder: Path, preempted: Preempted) -> None:
    preempted.say(False)
    with booted(disks, folder) as guest:
        _await_first_file(shared, guest, "power")
        _load(shared, guest, "button")
        pressed = guest.press_power_button()
        await_drained(guest, pressed, shared, "the power button")
        tell(f"the machine is off {guest.await_off(STOP_SECONDS) - pressed:.1f} s after that button")
    _score_here(shared)


def _await_first_file(shared: Services, guest: Guest, name: str) -> float:
    """Boots, and has one small file scored; gives when the worker was ready."""
    ready = guest.await_line(READY, BOOT_SECONDS)
    shared.upload(name, sample(1, 500, seed=9))
    first = shared.dropped_files.await_all(SCORE_SECONDS)
    tell(f"booted, and a worker ready, in {ready - guest.began:.0f} s; its first file scored after {first:.1f} s")
    return ready


def _load(shared: Services, guest: Guest, name: str) -> None:
    """Uploads far more than there is time for, and returns once the machine is in the middle of it."""
    shared.upload(name, sample(FILES, ROWS, seed=10))
    until(
        lambda: len(shared.dropped_files.without_receipt) < FILES, SCORE_SECONDS, lambda: f"a file scored\n{guest.told}"
    )


def await_drained(guest: Guest, since: float, shared: Services, what: str) -> None:
    """Returns once the worker, told so then, has ended by itself with files left. Raises CheckFailed."""
    ended = guest.await_line(ENDED, STOP_SECONDS, since)
    expect(guest.heard(DRAINED, since) is not None, f"{what}: the worker did not drain\n{guest.told}")
    left = len(shared.dropped_files.without_receipt)
    expect(left > 0, f"{what}: everything was scored by then, so there was no load")
    tell(f"{what}: drained in {ended - since:.1f} s, with {left} of {FILES} files left")


def _score_here(shared: Services) -> None:
    with shared.worker_here():
        took = shared.dropped_files.await_all(SCORE_SECONDS)
    shared.dropped_files.expect_nothing_lost()
    tell(f"a worker on this machine has scored these in {took:.0f} s: one receipt per file, a prediction per row")


if __name__ == "__main__":
    sys.exit(checked("make vm-check", check))
