"""Stand-ins for images of others that compose.yaml names: made here, of the programs that this machine has.

Each understands the command and the health check that compose.yaml gives the real one.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from deploy.emulators import NotInstalled, PubSubEmulator, StorageEmulator
from tests.acceptance.debian import JAVA, CannotRunHere, need
from tests.acceptance.engine import Engine

# Java's own folder, with the links to /etc and elsewhere followed, and what it loads besides.
_PUBSUB = """\
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
COPY java /opt/java
COPY pubsub-emulator.jar /opt/pubsub-emulator.jar
COPY gcloud /usr/local/bin/gcloud
"""
_GCLOUD = """\
#!/bin/bash
# Knows one command only: gcloud beta emulators pubsub start --host-port=HOST:PORT
for option; do case $option in --host-port=*) address=${option#*=} ;; esac; done
exec /opt/java/bin/java -jar /opt/pubsub-emulator.jar --host="${address%:*}" --port="${address#*:}"
"""
_WITH_WGET = """\
ARG BASE_IMAGE
FROM ${{BASE_IMAGE}}
COPY busybox /usr/local/bin/wget
COPY {program} /bin/{program}
{more}
ENTRYPOINT ["/bin/{program}"]
"""
_STORAGE = _WITH_WGET.format(program="fake-gcs-server", more="")
_PROMETHEUS = _WITH_WGET.format(program="prometheus", more="RUN install -d -o 65534 /prometheus\nUSER 65534")


def need_emulators() -> None:
    """Returns once both can be started here. Raises CannotRunHere: Google's is no package of Debian's."""
    need(JAVA)
    try:
        PubSubEmulator.installed()
        StorageEmulator.installed()
    except NotInstalled as reason:
        raise CannotRunHere(str(reason)) from None


def build_stand_ins(engine: Engine, base: str, folder: Path) -> Mapping[str, str]:
    """Service of compose.yaml → the image that stands in for its own. Raises CannotRunHere and EngineFailed."""
    need_emulators()
    makers: Mapping[str, Callable[[Path], str]] = {"pubsub": _pubsub, "storage": _storage, "prometheus": _prometheus}
    images = {}
    for service, make in makers.items():
        context = folder / f"stand-in-{service}"
        context.mkdir()
        dockerfile = make(context)
        (context / "Dockerfile").write_text(dockerfile, encoding="utf-8")
        images[service] = f"understudy-stand-in-{service}:check"
        arguments = ["--build-arg", f"BASE_IMAGE={base}", "--tag", images[service]]
        engine.run("build", *arguments, str(context))
    return images


def _pubsub(context: Path) -> str:
    java = Path(shutil.which("java") or "java").resolve().parents[1]
    # As cp -L does, but for links that lead nowhere, like that to the sources.
    shutil.copytree(java, context / "java", ignore_dangling_symlinks=True)
    shutil.copyfile(PubSubEmulator.installed().jar, context / "pubsub-emulator.jar")
    (context / "gcloud").write_text(_GCLOUD, encoding="utf-8")
    (context / "gcloud").chmod(0o755)
    return _PUBSUB


def _storage(context: Path) -> str:
    shutil.copy(StorageEmulator.installed().program, context / "fake-gcs-server")
    shutil.copy(_out_of_package("busybox-static", "bin/busybox", context), context / "busybox")
    return _STORAGE


def _prometheus(context: Path) -> str:
    shutil.copy(_out_of_package("prometheus", "usr/bin/prometheus", context), context / "prometheus")
    shutil.copy(_out_of_package("busybox-static", "bin/busybox", context), context / "busybox")
    return _PROMETHEUS


def _out_of_package(package: str, path: str, context: Path) -> Path:
    """A file out of a Debian package that is not installed for it: some would start a service. Raises CannotRunHere."""
    place = context.parent / "packages" / package
    if not place.exists():
        place.mkdir(parents=True)
        place.chmod(0o777)  # apt downloads as a user of its own
        got = _apt_get("download", "-qq", package, place=place)
        if got.returncode:  # a fresh machine may know no package yet
            _apt_get("update", "-qq", place=place)
            got = _apt_get("download", "-qq", package, place=place)
        if got.returncode:
            raise CannotRunHere(f"Debian's package {package} cannot be had: {got.stderr.strip()}")
        for archive in place.glob("*.deb"):
            subprocess.run(["dpkg-deb", "--extract", str(archive), str(place)], check=True)
    return place / path


def _apt_get(*arguments: str, place: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["apt-get", *arguments], cwd=place, capture_output=True, text=True, check=False)
