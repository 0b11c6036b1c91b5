"""What a virtual machine starts from: Debian bookworm with Docker and cloud-init, one image, a cloud-config."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from deploy.processes import ROOT
from tests.acceptance.checked import CheckFailed
from tests.acceptance.debian import MACHINE, make_system, need, need_root
from tests.acceptance.engine import own_engine

# apparmor: without it the engine starts no container. dbus and udev: logind sees the power button with them.
PACKAGES = [
    *("systemd-sysv", "dbus", "udev", "linux-image-cloud-amd64", "cloud-init", "docker.io", "apparmor", "iptables"),
    *("curl", "ca-certificates", "ifupdown", "isc-dhcp-client", "netbase"),
]
SIZE = "4G"  # of each disk; the files take what is used
ENGINE = "engine"  # the label of the disk with the engine's images: in software, a machine would load one for minutes
KEPT = ROOT / ".run" / "guest"  # what the next check starts from; `rm -r` it for newer packages


@dataclass(frozen=True)
class Disks:
    """Files that a machine is started with. `root` and `engine` are written to: each check has its own."""

    kernel: Path
    initrd: Path
    root: Path
    seed: Path
    engine: Path


def make_disks(folder: Path, user_data: str, image_tar: Path) -> Disks:
    """`user_data`: the cloud-config, as it is; `image_tar`: made by `docker save`. Raises CannotRunHere."""
    need_root("the disk of a virtual machine")
    need(MACHINE)
    if not (KEPT / "root.img").exists():
        _make_root(KEPT)
    root = folder / "root.img"
    _run("cp", "--sparse=always", str(KEPT / "root.img"), str(root))
    files = {"user-data": user_data, "meta-data": "instance-id: understudy-check\nlocal-hostname: understudy-check\n"}
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    seed = _iso(folder / "seed.iso", "cidata", *(folder / name for name in files))
    return Disks(KEPT / "vmlinuz", KEPT / "initrd.img", root, seed, _engine_disk(folder, image_tar))


def _engine_disk(folder: Path, image_tar: Path) -> Path:
    """What the engine of the machine is to find in /var/lib/docker."""
    place, disk = folder / "guest-engine", folder / "engine.img"
    with own_engine(place) as engine:
        engine.run("load", "--quiet", "--input", str(image_tar))
    _run("mke2fs", "-q", "-t", "ext4", "-L", ENGINE, "-d", str(place / "data"), str(disk), SIZE)
    shutil.rmtree(place)
    return disk


def _make_root(place: Path) -> None:
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="understudy-guest-", dir=place) as folder:
        system = Path(folder, "system")
        make_system(PACKAGES, system)
        (system / "etc" / "fstab").write_text(f"LABEL={ENGINE} /var/lib/docker ext4 defaults 0 2\n", encoding="utf-8")
        for name in ("vmlinuz", "initrd.img"):
            shutil.copyfile(system / name, place / name)  # through the link that names the newest
        made = Path(folder, "root.img")
        _run("mke2fs", "-q", "-t", "ext4", "-d", str(system), str(made), SIZE)
        made.rename(place / "root.img")


def _iso(path: Path, label: str, *files: Path) -> Path:
    _run("genisoimage", "-quiet", "-joliet", "-rock", "-volid", label, "-output", str(path), *map(str, files))
    return path


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CheckFailed(f"{command[0]}: exit {done.returncode}: {(done.stderr or done.stdout).strip()[-2000:]}")
