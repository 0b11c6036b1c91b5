"""The base of our images: the one asked for, or where no registry answers a stand-in out of Debian's packages.

The stand-in is Debian bookworm with its own Python 3.11. It is for checks on this machine, and published nowhere.
"""

from __future__ import annotations

import os

from deploy.processes import ROOT
from tests.acceptance.debian import make_system, need_root
from tests.acceptance.engine import Engine

OFFICIAL = "python:3.11-slim-bookworm"
STAND_IN = "understudy-base-stand-in:bookworm"
PACKAGES = ["ca-certificates", "netbase", "tzdata", "python3", "python3-pip", "python3-venv"]
KEPT = ROOT / ".run" / "base-image.tar"  # what the next check starts from; `rm` it for newer packages
PULL_SECONDS = 600.0


def base_image(engine: Engine) -> str:
    """The name that BASE_IMAGE is to say in a build. Raises CannotRunHere and EngineFailed."""
    asked = os.environ.get("BASE_IMAGE", OFFICIAL)
    if engine.has(asked) or engine.attempt("pull", "--quiet", asked, seconds=PULL_SECONDS).returncode == 0:
        return asked
    if "BASE_IMAGE" in os.environ:
        print(f"{asked} can be had from no registry: a stand-in is made of Debian's packages", flush=True)
    if not KEPT.exists():
        need_root("a stand-in for the base image (no image registry answers)")
        KEPT.parent.mkdir(parents=True, exist_ok=True)
        part = KEPT.with_suffix(".part.tar")
        # The official image calls it `python`.
        make_system(PACKAGES, part, '--customize-hook=ln -s /usr/bin/python3 "$1/usr/local/bin/python"')
        part.rename(KEPT)
    changes = ["ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", 'CMD ["python3"]']
    engine.run("import", *(part for change in changes for part in ("--change", change)), str(KEPT), STAND_IN)
    return STAND_IN
