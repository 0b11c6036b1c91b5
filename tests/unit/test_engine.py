"""Which Docker engine a check uses, on a machine made of scripts: its PATH has nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.acceptance import engine as engines
from tests.acceptance.debian import CannotRunHere
from tests.acceptance.engine import engine

NEW_CLIENT = "Docker version 28.2.2, build e6534b4"
# What each does; all of them first leave a line of what they were asked.
CLIENT_ALONE = f'[ "$1" = --version ] && echo "{NEW_CLIENT}"'
CLIENT_OF_AN_ENGINE = f'case $1 in --version) echo "{NEW_CLIENT}" ;; info) echo 28.2.2 ;; *) exit 1 ;; esac'
CLIENT_WITH_BUILDX = f'case $1 in --version) echo "{NEW_CLIENT}" ;; info) echo 28.2.2 ;; buildx) ;; *) exit 1 ;; esac'
DEBIANS_CLIENT = """
[ -z "$DOCKER_HOST" ] || socket=${DOCKER_HOST#unix://}
case $1 in
  --version) echo "Docker version 20.10.24+dfsg1, build 297e128" ;;
  info) [ -e "${socket:-HERE/standing}" ] && echo 20.10.24 ;;
  ps) ;;
  *) exit 1 ;;
esac
"""
DOCKERD = """
while [ "$1" != --host ]; do shift; done
echo $$ >HERE/dockerd.pid
: >"${2#unix://}"
exec /bin/sleep 600
"""
FAILING_DOCKERD = "echo 'iptables: not permitted'; exit 1"
APT_GET = "if [ $1 = install ]; then /bin/mv HERE/debian/* HERE/usr-bin/; fi"
INSTALL = "apt-get install -y -qq --no-install-recommends --no-remove"


class Machine:
    """A PATH of two folders: what lies in the first hides what Debian's packages bring, in the second."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self.path = f"{place / 'usr-local-bin'}:{place / 'usr-bin'}"
        self.debians_client = place / "usr-bin" / "docker"
        for name in ("usr-local-bin", "usr-bin", "debian"):
            (place / name).mkdir(parents=True)

    def has(self, program: str, does: str, folder: str = "usr-bin") -> None:
        file = self._place / folder / program
        asked = f'echo "{program} $*" >>HERE/asked'
        file.write_text(f"#!/bin/sh\n{asked}\n{does}\n".replace("HERE", str(self._place)), encoding="utf-8")
        file.chmod(0o755)

    def has_debians_docker(self, folder: str = "usr-bin", dockerd: str = DOCKERD) -> None:
        for program, does in (("docker", DEBIANS_CLIENT), ("dockerd", dockerd), ("iptables", "")):
            self.has(program, does, folder)

    def has_an_engine_for_debians_client(self) -> None:
        (self._place / "standing").touch()

    def asked(self, *programs: str) -> list[str]:
        """What these were asked, in order; of dockerd, whose options are many, only that it was started."""
        lines = (self._place / "asked").read_text(encoding="utf-8").splitlines()
        asked = [line for line in lines if line.partition(" ")[0] in programs]
        return ["dockerd" if line.startswith("dockerd ") else line for line in asked]

    def its_own_engine_runs(self) -> bool:
        try:
            os.kill(int((self._place / "dockerd.pid").read_text()), 0)
        except ProcessLookupError:
            return False
        return True


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Root's, a Debian, and without Docker."""
    made = Machine(tmp_path / "machine")
    made.has("apt-get", APT_GET)
    made.has("umount", "exit 1")
    made.has_debians_docker("debian")  # where apt-get finds it
    monkeypatch.setenv("PATH", made.path)
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(engines, "DEBIANS_CLIENT", made.debians_client)
    return made


def test_a_client_without_an_engine_hides_nothing_that_is_missing(machine: Machine, tmp_path: Path) -> None:
    # given: the machine as it often comes
    machine.has("docker", CLIENT_ALONE, "usr-local-bin")

    # when
    with engine(tmp_path / "check") as found:
        # then: an engine of its own, and Debian's client, which builds, although another comes first on the PATH
        assert found.ours
        assert found.client == str(machine.debians_client)
        assert machine.its_own_engine_runs()
    assert not machine.its_own_engine_runs()
    assert not (tmp_path / "check" / "engine").exists()

    # then: first it is asked whether an engine answers, then what is missing is installed, then the engine is started
    asked = machine.asked("docker", "apt-get", "dockerd")
    assert asked[0].startswith("docker info")
    in_order = ["apt-get update -qq", f"{INSTALL} docker.io iptables", "dockerd"]
    assert [each for each in asked if not each.startswith("docker ")] == in_order


def test_the_data_of_an_engine_are_unmounted_when_it_has_ended(machine: Machine, tmp_path: Path) -> None:
    with engine(tmp_path / "check"):
        assert machine.asked("umount") == []

    assert machine.asked("umount") == [f"umount {tmp_path / 'check' / 'engine' / 'data'}"]


def test_without_any_docker_it_is_installed_too(machine: Machine, tmp_path: Path) -> None:
    with engine(tmp_path / "check") as found:
        assert found.ours
        assert found.client == str(machine.debians_client)

    assert machine.asked("apt-get", "dockerd")[1:] == [f"{INSTALL} docker.io iptables", "dockerd"]


def test_debian_s_docker_behind_another_client_is_found(machine: Machine, tmp_path: Path) -> None:
    machine.has("docker", CLIENT_ALONE, "usr-local-bin")
    machine.has_debians_docker()

    with engine(tmp_path / "check") as found:
        assert found.ours
        assert found.client == str(machine.debians_client)

    assert machine.asked("apt-get", "dockerd") == ["dockerd"]


def test_an_engine_that_answers_is_used(machine: Machine, tmp_path: Path) -> None:
    machine.has("docker", CLIENT_WITH_BUILDX, "usr-local-bin")

    with engine(tmp_path / "check") as found:
        assert not found.ours
        assert found.client.endswith("usr-local-bin/docker")

    assert machine.asked("apt-get", "dockerd") == []


def test_to_an_engine_whose_client_does_not_build_debian_s_client_is_installed(
    machine: Machine, tmp_path: Path
) -> None:
    machine.has("docker", CLIENT_OF_AN_ENGINE, "usr-local-bin")
    machine.has_an_engine_for_debians_client()

    with engine(tmp_path / "check") as found:
        assert not found.ours
        assert found.client == str(machine.debians_client)

    assert machine.asked("apt-get", "dockerd")[1:] == [f"{INSTALL} docker.io"]


def test_an_engine_that_does_not_answer_debian_s_client_is_not_used(machine: Machine, tmp_path: Path) -> None:
    machine.has("docker", CLIENT_OF_AN_ENGINE, "usr-local-bin")

    with engine(tmp_path / "check") as found:
        assert found.ours
        assert found.client == str(machine.debians_client)


def test_what_cannot_be_installed_is_named(machine: Machine, tmp_path: Path) -> None:
    machine.has("docker", CLIENT_ALONE, "usr-local-bin")
    machine.has("apt-get", "exit 100")

    with pytest.raises(CannotRunHere, match=r"missing: docker\.io, iptables"), engine(tmp_path / "check"):
        raise AssertionError("there is none")


def test_an_engine_that_ends_at_once_says_why(machine: Machine, tmp_path: Path) -> None:
    machine.has_debians_docker(dockerd=FAILING_DOCKERD)

    with pytest.raises(CannotRunHere, match="dockerd says: iptables: not permitted"), engine(tmp_path / "check"):
        raise AssertionError("there is none")
