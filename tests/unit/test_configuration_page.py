"""docs/configuration.md says what the programs really take: on the command line, in the environment, by default."""

from __future__ import annotations

import contextlib
import io
import re

import pytest
from pydantic import SecretStr, ValidationError
from pydantic_settings import SettingsError

from deploy.configuration import PAGE, options, page
from deploy.demo.__main__ import Demo
from deploy.up import Up
from edge.command import PREFIX, Command, main
from edge.probe import Probe
from models.__main__ import COMMANDS as MODELS
from publisher.__main__ import COMMANDS as PUBLISHER
from worker.__main__ import Work

PROGRAMS = {
    "worker": {"": Work},
    "publisher": PUBLISHER,
    "models": MODELS,
    "deploy.demo": {"": Demo},
    "deploy": {"": Up},
    "edge.probe": {"": Probe},
}
ALL = [
    pytest.param(command, id=f"{program} {name}".strip())
    for program, commands in PROGRAMS.items()
    for name, command in commands.items()
]


def test_the_page_is_current():
    assert PAGE.read_text(encoding="utf-8") == page(), "`make docs` writes it again"


@pytest.mark.parametrize("command", ALL)
def test_its_options_are_those_of_the_help(command):
    told = io.StringIO()
    with contextlib.redirect_stdout(told), pytest.raises(SystemExit):
        main("program", "", {}, default=command, arguments=["--help"])
    in_help = set(re.findall(r"^ {2}(--[a-z-]+)", told.getvalue(), flags=re.MULTILINE))

    # `--no-worse` is an option of its own; all others of this form are the No of one that is there
    assert {one.shown for one in options(command) if one.variable} == in_help
    assert all(one.meaning for one in options(command))


def plain(value: object) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


@pytest.mark.parametrize("command", ALL)
def test_its_variables_have_an_effect(command: type[Command], monkeypatch):
    for one in options(command):
        if not one.variable:
            continue
        with monkeypatch.context() as environment:
            environment.setenv(one.variable, "nonsense")
            try:
                heard = any("nonsense" in plain(value) for _, value in command())
            except ValidationError as error:
                # The input of a mistake is the value, or where another option is missing all that was read.
                heard = any("nonsense" in str(mistake["input"]) for mistake in error.errors())
            except SettingsError as error:  # a list that is no JSON
                heard = f'"{one.variable.removeprefix(PREFIX).lower()}"' in str(error)
        assert heard, f"{one.variable} is not read"
