"""The cloud-config of the VMs: valid to cloud-init and systemd, and its two scripts do what they say."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import pytest
import yaml

from publisher.commands.run import Run
from tests.acceptance.cloud_config import rendered
from tests.emulators import missing
from tests.vms.test_gcloud import AS_IT_COMES, SCRIPT, gcloud_sh
from worker.__main__ import Work

IMAGE = "europe-west4-docker.pkg.dev/acme-surveys/understudy/worker:1.0"
UNITS = ("understudy.service", "understudy-preempted.service")
MOST_EXPOSED = 2.5  # of 10, as systemd-analyze counts; 9.6 is a unit that protects nothing


def cloud_config() -> str:
    environment = {"UNDERSTUDY_BUCKET": "gs://acme-survey-files", "UNDERSTUDY_QUEUE": "pubsub://acme-surveys/flights"}
    return rendered(image=IMAGE, image_from="registry", memory="6g", environment=environment)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with the files that cloud-init would write, by their bare names."""
    for file in yaml.safe_load(cloud_config())["write_files"]:
        (tmp_path / Path(file["path"]).name).write_text(file["content"])
    return tmp_path


def stand_in(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_cloud_init_takes_it(tmp_path):
    if shutil.which("cloud-init") is None:
        missing("cloud-init is not installed")
    (tmp_path / "user-data").write_text(cloud_config())

    done = subprocess.run(["cloud-init", "schema", "-c", tmp_path / "user-data"], capture_output=True, text=True)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Valid cloud-config" in done.stdout + done.stderr


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_takes_its_units(files, unit):
    if shutil.which("systemd-analyze") is None:
        missing("systemd-analyze is not installed")
    # Whether this machine has Docker, and a unit for it, is beside the point
    text = (files / unit).read_text().replace("/usr/bin/docker", "/bin/true").replace("Requires=docker.service\n", "")
    (files / unit).write_text(text)

    done = subprocess.run(["systemd-analyze", "verify", "--man=no", files / unit], capture_output=True, text=True)

    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("unit", UNITS)
def test_its_units_are_fenced_in(files, unit):
    if shutil.which("systemd-analyze") is None:
        missing("systemd-analyze is not installed")

    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", f"--threshold={MOST_EXPOSED * 10:.0f}", files / unit],
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stdout[-200:] + done.stderr


@pytest.mark.parametrize("script", ["prepare", "watch-preempted", SCRIPT])
def test_the_shell_scripts_are_clean(files, script):
    shellcheck = Path(sys.prefix) / "bin" / "shellcheck"
    if not shellcheck.exists():
        missing("shellcheck is not installed")

    done = subprocess.run([shellcheck, files / script], capture_output=True, text=True)

    assert (done.returncode, done.stdout) == (0, "")


def test_the_container_is_given_nothing_it_does_not_need(files):
    [command] = [
        line.split() for line in (files / UNITS[0]).read_text().replace("\\\n", "").splitlines() if "docker run" in line
    ]

    for wanted in ("--read-only", "--cap-drop all", "--user 65532:65532", "--security-opt no-new-privileges"):
        assert wanted in " ".join(command)
    for wanted in ("--memory $MEMORY", "--network host", "--stop-timeout 25", "--pids-limit 1024"):
        assert wanted in " ".join(command)
    assert not {"--privileged", "--pid", "--volume", "-v", "--device"} & set(command)
    assert [word for word in command if "source=" in word] == [
        "type=bind,source=/var/lib/understudy/cache,target=/var/cache/understudy"
    ]
    assert (files / "program.env").read_text().splitlines() == [
        "UNDERSTUDY_LISTEN=0.0.0.0:9464",
        "UNDERSTUDY_DRAIN_SECONDS=20",
        "UNDERSTUDY_BUCKET=gs://acme-survey-files",
        "UNDERSTUDY_QUEUE=pubsub://acme-surveys/flights",
    ]


@pytest.mark.parametrize(("program", "settings"), [("worker", Work), ("publisher", Run)])
def test_a_program_s_settings_are_ones_it_has(tmp_path, program, settings):
    assert gcloud_sh("--dry-run", "--files", tmp_path, **AS_IT_COMES).returncode == 0
    written = yaml.safe_load((tmp_path / f"{program}.yaml").read_text())["write_files"]
    [environment] = [file["content"] for file in written if file["path"] == "/etc/understudy/program.env"]

    names = [line.partition("=")[0].removeprefix("UNDERSTUDY_").lower() for line in environment.splitlines()]

    own = {"drain_seconds"} if program == "publisher" else set()  # the VM's time to stop; a publisher stops at once
    assert set(names) - set(settings.model_fields) == own
    assert len(names) == len(set(names))


def test_a_value_stays_on_its_line():
    with pytest.raises(ValueError, match="UNDERSTUDY_MODEL"):
        rendered(
            image=IMAGE,
            image_from="here",
            memory="1g",
            environment={"UNDERSTUDY_MODEL": "a\nUNDERSTUDY_BUCKET=gs://others"},
        )


class Metadata:
    """Google's metadata server, as far as the key `preempted` goes: it answers when the value changes."""

    def __init__(self) -> None:
        self.value = "FALSE"
        self.waited_for: list[str] = []
        self._changed = threading.Condition()

    def preempt(self) -> None:
        with self._changed:
            self.value = "TRUE"
            self._changed.notify_all()

    def wait_until_asked(self, times: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.waited_for) >= times, timeout=20)

    def answer(self, last_etag: str) -> tuple[str, str]:
        with self._changed:
            self.waited_for.append(last_etag)
            self._changed.notify_all()
            if last_etag == "e-FALSE":
                self._changed.wait_for(lambda: self.value != "FALSE", timeout=20)
            return self.value, f"e-{self.value}"


@contextmanager
def served(metadata: Metadata) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = urlparse(self.path)
            fine = (
                asked.path == "/computeMetadata/v1/instance/preempted"
                and self.headers["Metadata-Flavor"] == "Google"
                and parse_qs(asked.query)["wait_for_change"] == ["true"]
            )
            value, etag = metadata.answer(parse_qs(asked.query)["last_etag"][0]) if fine else ("", "")
            self.send_response(200 if fine else 403)
            self.send_header("ETag", etag)
            self.end_headers()
            self.wfile.write(value.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def watching(files: Path, host: str) -> Iterator[subprocess.Popen[str]]:
    if shutil.which("curl") is None:
        missing("curl is not installed")
    stand_in(files / "bin", "systemctl", 'echo "systemctl $*"')
    environment = {"PATH": f"{files / 'bin'}:{os.environ['PATH']}", "METADATA_HOST": host}
    with subprocess.Popen(
        ["bash", files / "watch-preempted"], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_the_notice_of_a_spot_vm_s_end_stops_the_worker_at_once(files):
    metadata = Metadata()
    with served(metadata) as host, watching(files, host) as process:
        metadata.wait_until_asked(2)
        assert process.poll() is None
        metadata.preempt()

        said, _ = process.communicate(timeout=20)

    assert metadata.waited_for[:2] == ["0", "e-FALSE"]
    assert said.splitlines()[-1] == "systemctl stop understudy.service"
    assert process.returncode == 0


def test_a_notice_that_was_there_before_the_watch_is_heeded(files):
    metadata = Metadata()
    metadata.preempt()
    with served(metadata) as host, watching(files, host) as process:
        said, _ = process.communicate(timeout=20)

    assert metadata.waited_for == ["0"]
    assert said.splitlines()[-1] == "systemctl stop understudy.service"


@pytest.mark.parametrize(
    ("image_from", "docker", "status", "calls"),
    [
        ("registry", "exit 0", 0, [f"docker pull --quiet {IMAGE}"]),
        ("registry", 'test "$1" != pull', 0, [f"docker pull --quiet {IMAGE}", f"docker image inspect {IMAGE}"]),
        ("registry", "exit 1", 1, [f"docker pull --quiet {IMAGE}", f"docker image inspect {IMAGE}"]),
        ("here", "exit 1", 1, [f"docker image inspect {IMAGE}"]),
        (
            "/dev/disk/by-label/UNDERSTUDY",
            'test "$1" != image',
            0,
            [f"docker image inspect {IMAGE}", "docker load --quiet --input /run/understudy/image/image.tar"],
        ),
        ("/dev/disk/by-label/UNDERSTUDY", "exit 0", 0, [f"docker image inspect {IMAGE}"]),
    ],
    ids=["pulled", "registry away", "nowhere", "not here", "from a disk", "loaded before"],
)
def test_the_image_is_fetched_before_the_start(files, image_from, docker, status, calls):
    for name in ("install", "iptables", "mount", "umount", "docker-credential-gcr"):
        stand_in(files / "bin", name, f'echo "{name} $*" >>{files}/calls')
    stand_in(files / "bin", "docker", f'echo "docker $*" >>{files}/calls\n{docker}')
    environment = {"PATH": f"{files / 'bin'}:{os.environ['PATH']}", "IMAGE": IMAGE, "IMAGE_FROM": image_from}

    done = subprocess.run(["bash", files / "prepare"], env=environment, capture_output=True, text=True)

    made = (files / "calls").read_text().splitlines()
    assert done.returncode == status
    assert [call for call in made if call.startswith("docker ")] == calls
    assert "install -d -m 0700 -o 65532 -g 65532 /var/lib/understudy/cache" in made
    assert "iptables -w -C INPUT -p tcp --dport 9464 -j ACCEPT" in made
    login = "docker-credential-gcr configure-docker --registries europe-west4-docker.pkg.dev"
    assert (login in made) == (image_from == "registry")
    assert (f"mount -o ro {image_from} /run/understudy/image" in made) == (len(calls) > 1 and "/dev" in image_from)
