"""What the pages tell a reader to type or open is there: commands, options, variables, targets, files, anchors."""

from __future__ import annotations

import io
import os
import re
import runpy
import signal
from contextlib import redirect_stderr, redirect_stdout, suppress
from functools import cache
from typing import Any
from urllib.parse import unquote

import pytest
from pydantic import ValidationError
from pydantic_settings import SettingsError

import edge.command
from deploy.configuration import options
from edge.command import PREFIX, Command
from tests.pages import PAGES, ROOT, anchors, blocks, commands, links, spans

OURS = ("worker", "publisher", "models", "edge", "deploy", "benchmarks")
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@cache
def program(module: str) -> tuple[dict[str, type[Command]], type[Command] | None]:
    """The commands of a program, and the one that needs no name: what it gives to `edge.command.main`."""
    given: dict[str, Any] = {}

    def noted(_name: str, _about: str, its: dict[str, type[Command]], *, default: Any = None, **_: Any) -> int:
        given.update(commands=its, default=default)
        return 0

    real, edge.command.main = edge.command.main, noted
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        with suppress(SystemExit):
            place = ROOT.joinpath(*module.split("."))
            runpy.run_path(
                str(place / "__main__.py" if place.is_dir() else place.with_suffix(".py")), run_name="__main__"
            )
    finally:
        edge.command.main = real
        for number, handler in handlers.items():  # a program that starts hears its signals from then on
            signal.signal(number, handler)
    assert given, f"python -m {module} is no program of ours"
    return given["commands"], given["default"]


def mistake(module: str, arguments: tuple[str, ...]) -> str:
    """What the real parser finds wrong; empty where it takes the arguments."""
    named, default = program(module)
    chosen, rest = default, list(arguments)
    if rest and rest[0] in named:
        chosen = named[rest.pop(0)]
    if {"--help", "-h"} & set(rest) or (chosen is None and not arguments):
        return ""
    if chosen is None:
        return "" if arguments[0] == "COMMAND" else f"there is no command {arguments[0]}"
    told = io.StringIO()
    try:
        with redirect_stderr(told), redirect_stdout(told):
            chosen(_cli_parse_args=rest, _cli_exit_on_error=False)  # type: ignore[call-arg]
    except SystemExit:
        return told.getvalue().splitlines()[-1]
    except SettingsError as error:
        return str(error)
    except ValidationError as error:
        # A place to fill in is no mistake
        wrong = [one for one in error.errors() if not re.fullmatch(r"[A-Z]+|DATE|HOST:PORT", str(one["input"]))]
        return "; ".join(f"{one['loc']}: {one['msg']}" for one in wrong)
    return ""


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)


def test_there_are_pages_and_commands():
    assert {"README.md", "docs/quickstart.md", "docs/operations.md", "docs/design.md", "CONTRIBUTING.md"} <= set(NAMES)
    assert sum(1 for page in PAGES for _ in commands(page)) > 60


@pytest.mark.parametrize("name", NAMES)
def test_its_commands_are_what_the_programs_take(name):
    wrong = {}
    for one in commands(ROOT / name):
        ours = room(one.module) in OURS and not EVERY_PROGRAM_S & {*one.arguments[:1]}
        told = mistake(one.module, one.arguments) if ours else ""
        if told and (one.typed or "arguments are required" not in told):  # prose may name a command without them
            wrong[str(one)] = told

    assert wrong == {}


def room(module: str) -> str:
    return module.partition(".")[0]


def test_a_wrong_command_would_be_found():
    assert mistake("models", ("promote", "3", "--if-beter"))
    assert mistake("models", ("promotes", "3"))
    assert mistake("worker", ("--processes", "many"))
    assert mistake("worker", ("--processes", "2")) == ""


EVERY_PROGRAM_S = {"--help", "--version", "--completion"}


@cache
def all_options() -> set[str]:
    programs = [*("worker", "publisher", "models", "edge.probe"), *("deploy.demo", "deploy.up", "deploy.demo.cloud")]
    programs += ["benchmarks.cpu", "benchmarks.fleet"]
    known = [command for name in programs for command in known_commands(name)]
    return (
        {one.shown for command in known for one in options(command)} | EVERY_PROGRAM_S | {"--service-account"}
    )  # gcloud's


def known_commands(module: str) -> list[type[Command]]:
    named, default = program(module)
    return [*named.values(), *([default] if default else [])]


@pytest.mark.parametrize("name", NAMES)
def test_options_in_its_prose_exist(name):
    named = {match[0] for span in spans(text_of(name)) if (match := re.match(r"--[a-z-]+", span))}

    assert {
        one for one in named if one not in all_options() and one.replace("--no-", "--") not in all_options()
    } == set()


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("deploy/")])
def test_variables_in_its_prose_are_in_the_page_of_options(name):
    listed = set(re.findall(r"`([A-Z][A-Z_]+)`", text_of("docs/configuration.md")))
    named = {match[1] for span in spans(text_of(name)) if (match := re.fullmatch(r"([A-Z]+_[A-Z_]+)(=.*)?", span))}

    assert named - listed - {"OBJECT_FINALIZE"} == set()


@pytest.mark.parametrize("name", NAMES)
def test_its_make_targets_exist(name):
    text = text_of(name)
    code = [*(block.text for block in blocks(text) if block.language != "python"), *spans(text)]
    named = {target for one in code for target in re.findall(r"(?:^|[`&;] ?)make ([a-z][a-z-]+)", one, re.MULTILINE)}

    assert named - set(targets()) == set()


def targets() -> dict[str, str]:
    """Target → what `make help` says of it."""
    found = re.findall(r"^([a-z-]+):[^\n#]*(?:## (.*))?$", text_of("Makefile"), flags=re.MULTILINE)
    return dict(found)


def test_make_help_has_every_target():
    told = targets()
    phony = re.findall(r"^\.PHONY: (.*)$", text_of("Makefile"), flags=re.MULTILINE)

    assert {target for target, words in told.items() if not words} == set()
    assert sorted(" ".join(phony).split()) == sorted(told)


@pytest.mark.parametrize("name", NAMES)
def test_its_links_lead_somewhere(name):
    lost = []
    for target in links(text_of(name)):
        if re.match(r"[a-z]+:", target):
            continue
        place, _, anchor = unquote(target).partition("#")
        file = (ROOT / name).parent / place if place else ROOT / name
        if not file.exists() or (anchor and anchor not in anchors(file.read_text(encoding="utf-8"))):
            lost.append(target)

    assert lost == []


@pytest.mark.parametrize("name", NAMES)
def test_files_in_its_prose_exist(name):
    if name == "CHANGELOG.md":
        return  # of the past
    pattern = r"[\w.-]+(?:/[\w.-]+)*/[\w.-]+\.(?:py|md|ya?ml|sh|json|toml|in)|[\w-]+/[\w/-]+/"
    named = {span for span in spans(text_of(name)) if re.fullmatch(pattern, span)}
    named = {
        one for one in named if not one.startswith(("output/", "bucket/", "sbom/", ".run/", "labels/", "incoming/"))
    }
    beside = (ROOT, ROOT / "tests", ROOT / "deploy", (ROOT / name).parent)

    assert {one for one in named if not any((place / one).exists() for place in beside)} == set()


@pytest.mark.parametrize("name", NAMES)
def test_its_python_compiles(name):
    for block in blocks(text_of(name)):
        if block.language == "python" or block.text.startswith(("from ", "import ")):
            compile(block.text, name, "exec")


def test_pages_are_read_as_github_reads_them():
    page = (
        "# A `b` c: d\n\nTell `make\nhelp` of [x](y.md#z).\n\n    one\n\n    two\n\n```sh\npython -m a b | c # d\n```\n"
    )

    assert [(block.language, block.text.split()) for block in blocks(page)] == [
        ("", ["one", "two"]),
        ("sh", ["python", "-m", "a", "b", "|", "c", "#", "d"]),
    ]
    assert spans(page) == ["b", "make help"]
    assert anchors(page) == {"a-b-c-d"}
    assert links(page) == ["y.md#z"]
