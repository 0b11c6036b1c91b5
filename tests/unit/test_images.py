"""The images and compose.yaml, as far as they can be judged without an engine; `make image-check` does the rest."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.processes import ROOT
from tests.acceptance.debian import MIRROR, first_mirror
from tests.acceptance.engine import builds_with_buildkit
from tests.unit.test_house import FOR_WORKERS, modules, reached, within

COMPOSE: Mapping[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
OURS = [name for name, service in COMPOSE["services"].items() if "build" in service]
TRACKED = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()


def tool(name: str, *arguments: str) -> str:
    """What a linter out of our own environment says; nothing where it is content."""
    program = Path(sys.executable).with_name(name)
    done = subprocess.run([program, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def copied(stage: str) -> set[str]:
    """The modules of ours that a stage of the Dockerfile copies, by their dotted names."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    body = re.split(rf"^FROM \S+ AS {stage}$", text, flags=re.MULTILINE)[1].partition("\nFROM ")[0]
    sources = [source for line in re.findall(r"^COPY (.+)$", body, flags=re.MULTILINE) for source in line.split()[:-1]]
    files = [
        file
        for source in sources
        for file in ([ROOT / source] if source.endswith(".py") else ROOT.glob(f"{source}/**/*.py"))
    ]
    parts = [file.relative_to(ROOT).with_suffix("").parts for file in files]
    return {".".join(part[:-1] if part[-1] == "__init__" else part) for part in parts}


@pytest.mark.parametrize("program", ["worker", "publisher", "models"])
def test_an_image_holds_every_module_that_its_program_needs(program: str) -> None:
    needed = {one for one in reached({*modules(program), "edge.probe"}, top_level=False) if one in everything()}

    assert needed
    assert needed - copied(f"{program}-code") == set()


def test_a_worker_s_image_holds_of_models_only_what_is_for_workers() -> None:
    of_models = {one for one in copied("worker-code") if one.startswith("models.")} - {
        "models.evidence"
    }  # its __init__

    assert of_models
    assert {one for one in of_models if not within(one, FOR_WORKERS)} == set()


def test_every_image_has_the_locale_that_graphs_of_text_need() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    ground = text.partition(" AS ground\n")[2].partition("\nFROM ")[0]

    assert "ln -s C.utf8 /usr/lib/locale/en_US.utf8" in ground  # tests/unit/foreign/test_text.py sees that this does
    for program in ("worker", "publisher", "models"):
        [packages] = re.findall(rf"^FROM (\S+) AS {program}$", text, flags=re.MULTILINE)
        assert f"FROM ground AS {packages}\n" in text


def everything() -> set[str]:
    rooms = ("transport", "ledger", "edge", "publisher", "worker", "models")
    return {module for room in rooms for module in modules(room)}


def test_hadolint_is_content() -> None:
    assert tool("hadolint", "Dockerfile") == ""


def test_yamllint_is_content() -> None:
    files = [file for file in TRACKED if file.endswith((".yaml", ".yml"))]

    assert "compose.yaml" in files
    assert tool("yamllint", "--strict", *files) == ""


def test_shellcheck_is_content() -> None:
    scripts = [file for file in TRACKED if file.endswith(".sh") or file == ".ci/run"]

    assert scripts
    assert tool("shellcheck", *scripts) == ""


def test_compose_is_what_its_specification_allows() -> None:
    assert tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yaml") == ""


def test_a_misspelt_key_would_be_seen(tmp_path: Path) -> None:
    wrong = tmp_path / "compose.yaml"
    wrong.write_text("services: {worker: {image: x, read_onyl: true}}\n", encoding="utf-8")

    assert "read_onyl" in tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", str(wrong))


def test_compose_publishes_nothing_beyond_this_machine() -> None:
    ports = [port for service in COMPOSE["services"].values() for port in service.get("ports", [])]

    assert ports
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []
    assert [name for name, service in COMPOSE["services"].items() if service.get("network_mode") == "host"] == []


@pytest.mark.parametrize("name", OURS)
def test_compose_runs_our_programs_with_nothing_they_do_not_need(name: str) -> None:
    service = COMPOSE["services"][name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["user"] == "65532:65532"


def test_compose_waits_for_health_and_for_ends_not_for_starts() -> None:
    waits = [
        (name, each) for name, service in COMPOSE["services"].items() for each in service.get("depends_on", {}).items()
    ]
    services = COMPOSE["services"]

    assert waits
    for name, (other, wait) in waits:
        ends = services[other].get("restart") == "no"
        assert wait["condition"] == ("service_completed_successfully" if ends else "service_healthy"), (name, other)
        assert ends or "healthcheck" in services[other], f"{name} waits for {other}, which has no health"


@pytest.mark.parametrize(
    ("version", "has_buildx", "builds"),
    [
        ("Docker version 20.10.24+dfsg1, build 297e128", False, True),
        ("Docker version 28.2.2, build e6534b4", False, False),
        ("Docker version 28.2.2, build e6534b4", True, True),
        ("", False, False),
    ],
)
def test_which_docker_builds_with_buildkit(version: str, has_buildx: bool, builds: bool) -> None:
    assert builds_with_buildkit(version, has_buildx) is builds


def test_the_mirror_is_apt_s_own() -> None:
    assert first_mirror(["http://security.example/ bookworm-security", "http://mirror.example/debian bookworm"]) == (
        "http://mirror.example/debian"
    )
    assert first_mirror([]) == MIRROR
