"""Completion for bash, made from the settings classes: `source <(python -m worker --completion bash)`.

The programs are modules, so it is the word `python` that bash is to complete. One function sees which program stands
behind `-m` and asks that program's own, so the scripts of several programs may be read; anything else is left to bash.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from edge.option_names import called, is_positional


def bash(program: str, commands: Mapping[str, type[BaseSettings]], default: type[BaseSettings] | None) -> str:
    """The script that a shell is to read for one program."""
    of_commands = {name: options(command) for name, command in commands.items()}
    of_default = [] if default is None else options(default)
    lines = [f'    *" {name} "*) offered="{" ".join(options)}" ;;' for name, options in of_commands.items()]
    choices: dict[str, Sequence[str]] = {}
    for command in [*commands.values(), *([default] if default else [])]:
        for name, field in command.model_fields.items():
            if get_origin(field.annotation) is Literal:
                choices[_option(name, field)] = [str(each) for each in get_args(field.annotation)]
    name, nl = re.sub(r"\W", "_", program), "\n"
    offered = " ".join([*commands, *of_default, "--help", "--version", "--completion"])
    values = [f'    {option}) offered="{" ".join(known)}" ;;' for option, known in sorted(choices.items())]
    return f"""\
_understudy_{name}() {{
  local words=" ${{COMP_WORDS[*]}} " word="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}"
  local offered="{offered}"
  case $words in
{nl.join(lines) or "    *) ;;"}
  esac
  case $before in
{nl.join(values)}
    --*) [ "${{word#-}}" != "$word" ] || return ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$offered" -- "$word")
}}
_understudy() {{
  local at program
  for at in "${{!COMP_WORDS[@]}}"; do
    program="_understudy_${{COMP_WORDS[at+1]//[^a-zA-Z0-9_]/_}}"
    [ "${{COMP_WORDS[at]}}" != -m ] || ! declare -F "$program" > /dev/null || "$program"
  done
}}
complete -o bashdefault -o default -F _understudy python python3 .venv/bin/python
"""


def options(command: type[BaseSettings]) -> list[str]:
    """What its options are called on the command line."""
    names = [_option(name, field) for name, field in command.model_fields.items() if not is_positional(field)]
    return [*names, "--help"]


def _option(name: str, field: FieldInfo) -> str:
    return f"--{called(name, field).replace('_', '-')}"
