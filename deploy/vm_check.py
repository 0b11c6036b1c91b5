"""`make vm-check`: a real virtual machine, from the very cloud-config of the Terraform module, taken away under load.

Twice: by a spot VM's notice from (a stand-in for) the metadata server, and by the power button. What it had in its
hands is scored by a worker on this machine, where its Pub/Sub, Cloud Storage (emulators) and MLflow are too.
"""

from __future__ import annotations

import sys
from pathlib import Path

from deploy.checked import checked, expect, tell, until
from deploy.cloud_config import rendered
from deploy.debian import MACHINE, need, need_root
from deploy.engine import engine
from deploy.followed import sample
from deploy.guest import HOST, Guest, booted
from deploy.guest_disk import Disks, make_disks
from deploy.images import build
from deploy.metadata_server import Preempted, metadata_server
from deploy.vm_services import Services, services

BOOT_SECONDS, SCORE_SECONDS, DRAIN_SECONDS, OFF_SECONDS = 480.0, 240.0, 25.0, 60.0
FILES, ROWS = 24, 10_000  # of each load: more than the machine can score before it is told to end
READY, DRAINED = r"worker ready", r"understudy\.service: Deactivated successfully"  # said where it ended with 0
TOLD = r"this VM is about to be taken away"


def check(folder: Path) -> None:
    need_root("a virtual machine's disk, and a Docker engine,")
    need(MACHINE)
    image_tar = folder / "image.tar"
    with engine(folder) as docker:
        (worker,) = build(docker, folder, ["worker"])
        docker.run("save", "--output", str(image_tar), worker.image, seconds=300)
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
        told = guest.await_line(TOLD, DRAIN_SECONDS, since=ready)
        drained = guest.await_line(DRAINED, DRAIN_SECONDS + 5, since=told) - told
        _expect_drained("the notice that the VM is about to be taken away", drained, shared)
        guest.press_power_button()
        guest.await_off(OFF_SECONDS)
    _score_here(shared)


def _by_power_button(shared: Services, disks: Disks, folder: Path, preempted: Preempted) -> None:
    preempted.say(False)
    with booted(disks, folder) as guest:
        _await_first_file(shared, guest, "power")
        _load(shared, guest, "button")
        pressed = guest.press_power_button()
        drained = guest.await_line(DRAINED, DRAIN_SECONDS + 5, since=pressed) - pressed
        off = guest.await_off(OFF_SECONDS) - pressed
        _expect_drained(f"the power button (the machine is off after {off:.1f} s)", drained, shared)
    _score_here(shared)


def _await_first_file(shared: Services, guest: Guest, name: str) -> float:
    """Boots, and has one small file scored; gives when the worker was ready."""
    ready = guest.await_line(READY, BOOT_SECONDS)
    shared.upload(name, sample(1, 500, seed=9))
    first = shared.followed.await_all(SCORE_SECONDS)
    tell(f"booted, and a worker ready, in {ready - guest.began:.0f} s; its first file scored after {first:.1f} s")
    return ready


def _load(shared: Services, guest: Guest, name: str) -> None:
    """Uploads far more than there is time for, and returns once the machine is in the middle of it."""
    shared.upload(name, sample(FILES, ROWS, seed=10))
    until(lambda: len(shared.followed.without_receipt) < FILES, SCORE_SECONDS, lambda: f"a file scored\n{guest.told}")


def _expect_drained(what: str, seconds: float, shared: Services) -> None:
    left = len(shared.followed.without_receipt)
    expect(left > 0, f"{what}: everything was scored by then, so there was no load")
    expect(seconds <= DRAIN_SECONDS, f"{what}: drained only after {seconds:.1f} s")
    tell(f"{what}: drained in {seconds:.1f} s, with {left} of {FILES} files left")


def _score_here(shared: Services) -> None:
    with shared.worker_here():
        took = shared.followed.await_all(SCORE_SECONDS)
    shared.followed.expect_nothing_lost()
    tell(f"a worker on this machine has scored these in {took:.0f} s: one receipt per file, a prediction per row")


if __name__ == "__main__":
    sys.exit(checked("make vm-check", check))
