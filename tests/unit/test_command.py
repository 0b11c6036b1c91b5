"""Commands and their options: on the command line, in the environment, and what a mistake is told as."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field
from pydantic_settings import CliPositionalArg

from edge.command import Command, main

ROOT = Path(__file__).parents[2]


class Bake(Command):
    """Bakes a cake.

    It takes an hour.
    """

    layers: int = Field(2, ge=1, description="how many")
    icing_colour: str = Field("white", description="which one")
    with_candles: bool = Field(False, description="lights them too")
    size: Literal["small", "large"] = Field("small", description="of the tin")

    def run(self) -> int:
        print(f"{self.layers} {self.icing_colour} {self.with_candles}")
        return 0


class Burn(Command):
    """Burns it."""

    def run(self) -> int:
        return 7


class Frost(Command):
    """Frosts one of them."""

    flavour: CliPositionalArg[str] = Field(description="which one")

    def run(self) -> int:
        return 0


class Endless(Command):
    """Goes on until someone ends it."""

    def run(self) -> int:
        raise KeyboardInterrupt


COMMANDS = {"bake": Bake, "burn": Burn, "frost": Frost, "endless": Endless}


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    for name in ("UNDERSTUDY_LAYERS", "UNDERSTUDY_ICING_COLOUR", "UNDERSTUDY_WITH_CANDLES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "200")


def kitchen(*arguments, default=None):
    return main("kitchen", "All about cakes.", COMMANDS, default=default, arguments=arguments)


def test_options_come_from_the_command_line_or_the_environment_in_that_order(capsys, monkeypatch):
    assert kitchen("bake") == 0
    monkeypatch.setenv("UNDERSTUDY_LAYERS", "5")
    monkeypatch.setenv("UNDERSTUDY_ICING_COLOUR", "blue")
    assert kitchen("bake") == 0
    assert kitchen("bake", "--icing-colour", "red", "--with-candles") == 0

    assert capsys.readouterr().out == "2 white False\n5 blue False\n5 red True\n"


def test_variables_of_anybody_s_shell_are_not_read_and_an_old_name_is_warned_of(capsys, monkeypatch):
    # Given what conda-build exports, and a variable by the name that it had before
    monkeypatch.setenv("PREFIX", "/opt/conda")
    monkeypatch.setenv("LAYERS", "5")

    assert kitchen("bake") == 0

    told = capsys.readouterr()
    assert told.out == "2 white False\n"
    assert told.err.count("\n") == 1
    assert "LAYERS as UNDERSTUDY_LAYERS" in told.err
    assert "PREFIX as" not in told.err

    # With the new name beside it there is nothing to say
    monkeypatch.setenv("UNDERSTUDY_LAYERS", "3")
    assert kitchen("bake") == 0
    assert capsys.readouterr() == ("3 white False\n", "")


def test_a_variable_of_a_library_keeps_its_name(capsys, monkeypatch):
    class Registry(Command):
        """Says where the registry is."""

        mlflow_tracking_uri: str = Field("sqlite:///mlflow.db", description="where")

        def run(self) -> int:
            print(self.mlflow_tracking_uri)
            return 0

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert main("kitchen", "", {}, default=Registry, arguments=[]) == 0
    assert capsys.readouterr() == ("http://127.0.0.1:5000\n", "")


def test_the_exit_status_is_the_command_s(capsys):
    assert kitchen("burn") == 7
    assert kitchen("endless") == 130


def test_every_mistake_is_told_with_its_option_and_its_variable(capsys, monkeypatch):
    monkeypatch.setenv("UNDERSTUDY_LAYERS", "0")

    monkeypatch.setenv("UNDERSTUDY_WITH_CANDLES", "perhaps")

    status = kitchen("bake")

    told = capsys.readouterr()
    assert status == 2
    assert told.out == ""
    assert "--layers (or UNDERSTUDY_LAYERS): Input should be greater than or equal to 1" in told.err
    assert "--with-candles (or UNDERSTUDY_WITH_CANDLES)" in told.err
    assert all(line.startswith("kitchen bake: ") for line in told.err.splitlines())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["bake", "--layers", "2", "--icing-color", "red"], "no option --icing-color: did you mean --icing-colour?"),
        (["bake", "--with-candels"], "no option --with-candels: did you mean --with-candles?"),
        (["bake", "--no-layers2"], "no option --no-layers2"),
        (["bake", "--zzz=1"], "no option --zzz\n"),
        (["bak"], "no command bak: did you mean bake?"),
    ],
)
def test_a_mistyped_word_is_told_with_the_one_that_was_meant(given, said, capsys):
    assert kitchen(*given) == 2

    told = capsys.readouterr()
    assert said in told.err
    assert "usage" not in told.err


def test_what_stands_for_an_option_is_no_mistake(capsys):
    assert kitchen("bake", "--layers=3", "--no-with-candles") == 0
    assert kitchen("frost", "--", "--plain") == 0
    assert capsys.readouterr().out == "3 white False\n"


def test_every_program_says_its_version_which_is_the_project_s(capsys):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert kitchen("--version") == 0
    assert main("alone", "", {}, default=Bake, arguments=["--version"]) == 0

    assert capsys.readouterr().out == f"understudy {project['version']}\n" * 2
    assert f"ARG VERSION={project['version']}\n" in (ROOT / "Dockerfile").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("python -m kitchen b", {"bake", "burn"}),
        ("python -m kitchen bake --i", {"--icing-colour"}),
        ("python -m kitchen bake --size s", {"small"}),
        ("python -m another b", set()),
        ("python -m kitchen frost --f", set()),
        ("python -m kitchen frost --h", {"--help"}),
        (".venv/bin/python -m kitchen bake --with", {"--with-candles"}),
        ("python -m cellar f", {"fill"}),
    ],
)
def test_bash_completes_commands_options_and_values(capsys, line, offered):
    # Given two programs' scripts in one shell: neither takes the other's place
    assert kitchen("--completion", "bash") == 0
    assert main("cellar", "", {"fill": Burn}, arguments=["--completion", "bash"]) == 0
    words = line.split()
    asked = f"COMP_WORDS=({line}) COMP_CWORD={len(words) - 1}; _understudy; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    script = capsys.readouterr().out + asked

    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)

    assert set(done.stdout.split()) == offered
    assert done.stderr == ""


def test_another_shell_is_told_which_there_is(capsys):
    assert kitchen("--completion", "fish") == 2
    assert "bash" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [("bake", "--no-such-option", "1"), ("bake", "--layers")])
def test_options_that_there_are_not_end_with_status_2_and_no_traceback(capsys, arguments):
    try:
        status = kitchen(*arguments)
    except SystemExit as end:  # argparse's own way
        status = end.code

    told = capsys.readouterr()
    assert status == 2
    assert "Traceback" not in told.err
    assert told.err


def test_without_a_command_there_is_an_overview(capsys):
    assert kitchen() == 2
    assert kitchen("--help") == 0
    assert kitchen("boil") == 2

    overviews = capsys.readouterr().out
    for text in ("All about cakes.", "bake", "Bakes a cake.", "burn", "Burns it."):
        assert overviews.count(text) >= 3


def test_a_default_command_needs_no_name(capsys):
    assert kitchen(default=Bake) == 0
    assert kitchen("--layers", "3", default=Bake) == 0
    assert kitchen("burn", default=Bake) == 7
    assert kitchen("boil", default=Bake) == 2

    assert capsys.readouterr().out.startswith("2 white False\n3 white False\n")


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_the_help_of_a_command_has_its_text_options_and_defaults(capsys, option):
    with pytest.raises(SystemExit) as end:
        kitchen("bake", option)

    assert end.value.code == 0
    told = capsys.readouterr().out
    for text in (
        "python -m kitchen bake",
        "Bakes a cake.",
        "It takes an hour.",
        "--icing-colour",
        "which one",
        "white",
    ):
        assert text in told


def test_a_program_of_one_command_shows_that_command_s_help(capsys):
    with pytest.raises(SystemExit) as end:
        main("bakery", "", {}, default=Bake, arguments=["--help"])

    assert end.value.code == 0
    assert "--layers" in capsys.readouterr().out
