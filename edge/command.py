"""One program, its commands, and the settings of each: options on the command line, or environment variables.

Each command is a settings class: its fields are the options (`--until-idle`, or UNDERSTUDY_UNTIL_IDLE in the
environment), its docstring is the help, and its method `run` does the work and gives the exit status.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from inspect import cleandoc
from typing import Any

from pydantic import ValidationError
from pydantic_settings import (
    BaseSettings,
    CliApp,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)
from pydantic_settings.sources.utils import parse_env_vars

from edge import completion, mistyped
from edge.option_names import called, is_positional
from edge.version import VERSION

PREFIX = "UNDERSTUDY_"
OF_OTHERS = frozenset({"MLFLOW_TRACKING_URI"})  # variables that belong to libraries, and keep their names


def variable(field: str) -> str:
    """What an option is called in the environment."""
    name = field.upper().replace("-", "_")
    return name if name in OF_OTHERS else PREFIX + name


class Environment(EnvSettingsSource):
    """The variables that are ours, without their prefix, and those of others that we read."""

    def _load_env_vars(self) -> Mapping[str, str | None]:
        ours = {name[len(PREFIX) :]: value for name, value in os.environ.items() if name.upper().startswith(PREFIX)}
        others = {name: os.environ[name] for name in OF_OTHERS & os.environ.keys()}
        return parse_env_vars(ours | others, self.case_sensitive, self.env_ignore_empty, self.env_parse_none_str)


class Command(BaseSettings):
    """The base of every command's settings."""

    model_config = SettingsConfigDict(
        cli_kebab_case=True, cli_implicit_flags=True, cli_enforce_required=True, extra="ignore", frozen=True
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What the caller gives, then the environment."""
        return init_settings, Environment(settings_cls)

    def run(self) -> int:
        """Does the work; gives the exit status."""
        raise NotImplementedError


def main(
    program: str,
    about: str,
    commands: Mapping[str, type[Command]],
    *,
    default: type[Command] | None = None,
    arguments: Sequence[str] | None = None,
) -> int:
    """Runs the command that the first argument names (`default` where none does); gives the exit status.

    `--version` and `--completion bash` are every program's. Each option may also be given in the environment, by its
    name in capitals behind PREFIX.
    Wrong options end with status 2 and a line per mistake that names the option and its environment variable.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["--version"]:
        print(f"understudy {VERSION}")
        return 0
    if given[:1] == ["--completion"]:
        return _completion(program, commands, default, given[1:])
    if given and given[0] in commands:
        name, chosen, rest = f"{program} {given[0]}", commands[given[0]], given[1:]
    elif default is not None and (not given or given[0].startswith("-")):
        name, chosen, rest = program, default, given
    else:
        if given and not given[0].startswith("-"):
            print(f"{program}: {mistyped.there_is_no('command', given[0], commands)}\n", file=sys.stderr)
        print(_overview(program, about, commands))
        return 0 if given[:1] in (["--help"], ["-h"]) else 2
    if mistake := mistyped.option(chosen, rest):
        print(f"{name}: {mistake}\n`python -m {name} --help` lists all of them", file=sys.stderr)
        return 2
    for warning in _old_names(name, chosen):
        print(warning, file=sys.stderr)
    others = f"{_listed(program, commands)}\n\n" if chosen is default and commands else ""
    try:
        settings: Any = CliApp.run(_named(chosen, name, others), cli_args=rest)
    except ValidationError as error:
        for line in error.errors():
            field = ".".join(str(part) for part in line["loc"]) or "options"
            print(f"{name}: --{field.replace('_', '-')} (or {variable(field)}): {line['msg']}", file=sys.stderr)
        return 2
    except SettingsError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2
    try:
        return int(settings.run())
    except KeyboardInterrupt:
        return 130


def _completion(
    program: str, commands: Mapping[str, type[Command]], default: type[Command] | None, shells: Sequence[str]
) -> int:
    if list(shells) != ["bash"]:
        print(
            f"{program}: --completion is there for bash: source <(python -m {program} --completion bash)",
            file=sys.stderr,
        )
        return 2
    print(completion.bash(program, commands, default), end="")
    return 0


def _named(command: type[Command], name: str, others: str) -> type[Command]:
    about = cleandoc(command.__doc__ or "")
    about = f"{about}\n\n{others}Each option may be given in the environment too: --log-level as {PREFIX}LOG_LEVEL."
    config = SettingsConfigDict(**{**command.model_config, "cli_prog_name": f"python -m {name}"})
    return type(
        command.__name__, (command,), {"model_config": config, "__doc__": about, "__module__": command.__module__}
    )


def _old_names(program: str, command: type[Command]) -> list[str]:
    """A line where variables are set by the names that they had before PREFIX, and not by those that they have now."""
    prefix = str(command.model_config.get("env_prefix", ""))
    fields = command.model_fields.items()
    names = [f"{prefix}{called(name, field)}".upper() for name, field in fields if not is_positional(field)]
    old = [each for each in names if each in os.environ and each not in OF_OTHERS and variable(each) not in os.environ]
    if not old:
        return []
    now = ", ".join(f"{each} as {variable(each)}" for each in old)
    return [f"{program}: not read, for the environment is searched for names with {PREFIX} alone: {now}"]


def _overview(program: str, about: str, commands: Mapping[str, type[Command]]) -> str:
    return f"{about.strip()}\n\n{_listed(program, commands)}"


def _listed(program: str, commands: Mapping[str, type[Command]]) -> str:
    width = max((len(name) for name in commands), default=0)
    lines = [f"python -m {program} COMMAND --help says more of each command:"]
    lines += [f"  {name:<{width}}  {_first_line(command)}" for name, command in commands.items()]
    lines += [
        "",
        "--version says which release this is; --completion bash gives what a shell reads to complete options.",
    ]
    return "\n".join(lines)


def _first_line(command: type[Command]) -> str:
    return (command.__doc__ or "").strip().splitlines()[0]
