"""`make docs`: docs/configuration.md, every option of every program, written from their settings classes."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from inspect import cleandoc
from pathlib import Path
from typing import Literal, NamedTuple, get_args, get_origin

from pydantic import ByteSize, Field
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from deploy import up
from deploy.demo.__main__ import Demo
from deploy.demo.cloud import DemoCloud
from deploy.processes import ROOT
from edge.command import Command, main, variable
from edge.option_names import called, is_positional
from edge.options import seconds
from edge.probe import Probe
from models.__main__ import COMMANDS as MODELS
from publisher.__main__ import COMMANDS as PUBLISHER
from worker.__main__ import Work

PAGE = ROOT / "docs" / "configuration.md"

INTRODUCTION = """\
<!-- Written by `make docs` from the settings classes; a test compares the two. -->
# Configuration

Every option of every program. It may be given on the command line or in the environment; the command line wins. There
are no configuration files. `--help` of each command says the same as this page.

- A wrong value ends the program with status 2 and a line that names the option and its variable.
- A yes-or-no option is, for example, `--once` or `--no-once`; in the environment `UNDERSTUDY_ONCE=true` or `=false`.
- Times with a unit in their default (`5s`) may be given as `500ms`, `30s`, `10m`, `1h` or `7d`; the others are numbers
  of seconds.
- Relative paths, `sqlite:///mlflow.db` among them, begin in the directory in which the program was started.
- Only variables that begin with `UNDERSTUDY_` are read, and `MLFLOW_TRACKING_URI`, which is MLflow's own. One that is
  set by the name that it had before, without the beginning, is warned of.
- Export what all programs share (`UNDERSTUDY_BUCKET`, `UNDERSTUDY_QUEUE`, `UNDERSTUDY_PREFIX`, `MLFLOW_TRACKING_URI`,
  `UNDERSTUDY_MODEL`, `UNDERSTUDY_LOG_LEVEL`) once. Of a command's own options give those on the command line that you
  do not mean for others: `UNDERSTUDY_LABELS` is a yes or no to `models sample`, and files to `models compare`.
- `source <(.venv/bin/python -m worker --completion bash)` completes commands, options and their values; so for
  `publisher` and `models`. `--version` says which release it is.

| exit status | when |
| --- | --- |
| 0 | done; what runs on has ended as it was told to (SIGTERM, Ctrl-C) |
| 1 | refused, or nothing there: nothing to compare, a version that must not serve, a difference, a probe's bad answer |
| 2 | wrong options; or a bucket, queue or address that cannot be used: a setting to mend |
| 3 | `promote --if-better` and `--no-worse`: the evidence is not there |
| 130 | a command was interrupted (Ctrl-C) |
"""

OF_OTHERS = """\
## Variables of the libraries

They belong to the libraries that the programs use.

| variable | of | meaning here |
| --- | --- | --- |
| `GOOGLE_APPLICATION_CREDENTIALS` | google-auth | a key file, where a machine has no service account of its own |
| `PUBSUB_EMULATOR_HOST`, `STORAGE_EMULATOR_HOST` | Google's clients | emulators instead of the cloud: `127.0.0.1:8085`, `http://127.0.0.1:4443` |
| `MLFLOW_TRACKING_USERNAME`, `MLFLOW_TRACKING_PASSWORD`, `MLFLOW_TRACKING_TOKEN` | MLflow | for a registry that asks who you are |
| `MLFLOW_HTTP_REQUEST_TIMEOUT`, `MLFLOW_HTTP_REQUEST_MAX_RETRIES` | MLflow | how long the registry is waited for; `5` and `0` unless you set them, because MLflow's own defaults come to four minutes |
| `OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_TRACES_SAMPLER`, `OTEL_SERVICE_NAME` | OpenTelemetry | where traces go, how many, and whose they are, with `--trace otlp` |
| `TMPDIR` | Python | where Parquet files, and outputs of many megabytes until they are uploaded, lie |
"""  # noqa: E501

Commands = Mapping[str, type[Command]]


class Option(NamedTuple):
    """A row of a table."""

    shown: str
    variable: str
    default: str
    meaning: str

    def row(self, *more: str) -> str:
        """As Markdown."""
        cells = (f"`{self.shown}`", f"`{self.variable}`" if self.variable else "", self.default, self.meaning, *more)
        return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def option(name: str, field: FieldInfo, prefix: str = "") -> Option:
    """What is said of one field of a settings class."""
    meaning = (field.description or "").strip()
    if bounds := _bounds(field):
        meaning = f"{meaning} ({bounds})"
    if is_positional(field):
        return Option(name.upper(), "", "", meaning)
    option_name = called(name, field)
    return Option(f"--{option_name.replace('_', '-')}", variable(f"{prefix}{option_name}"), _default(field), meaning)


def options(command: type[Command]) -> list[Option]:
    """Those of a command, in the order in which its class has them."""
    prefix = str(command.model_config.get("env_prefix", ""))
    return [option(name, field, prefix) for name, field in command.model_fields.items()]


def section(program: str, commands: Commands) -> str:
    """All commands of a program; what several of them share stands in one table before them."""
    of: dict[Option, list[str]] = {}
    for name, command in commands.items():
        for one in options(command):
            of.setdefault(one, []).append(name)
    shared = {one: names for one, names in of.items() if len(names) > 1}
    parts = []
    if shared:
        rows = [
            one.row("all" if len(names) == len(commands) else ", ".join(f"`{name}`" for name in names))
            for one, names in shared.items()
        ]
        parts += ["Options of several commands:", _table(rows, "of")]
    for name, command in commands.items():
        own = [one for one in options(command) if one not in shared]
        parts += [f"### `python -m {program}{' ' + name if name else ''}`".rstrip(), _about(command)]
        if own:
            parts.append(_table([one.row() for one in own]))
    return "\n\n".join(parts)


def page() -> str:
    """The whole page."""
    parts = [
        INTRODUCTION.rstrip(),
        "## The worker",
        _about(Work),
        _table([one.row() for one in options(Work)]),
        "## The publisher",
        "Without a command it is `run`.",
        section("publisher", PUBLISHER),
        "## Models",
        section("models", MODELS),
        "## The probe of a container",
        section("edge.probe", {"": Probe}),
        "## On one machine",
        "`make demo`, `make demo-cloud`, `make up` and `make down` are these, and take the variables too.",
        section("deploy.demo", {"": Demo}),
        section("deploy.demo.cloud", {"": DemoCloud}),
        section("deploy.up", {"up": up.Up, "down": up.Down}),
        OF_OTHERS.rstrip(),
    ]
    return "\n\n".join(parts) + "\n"


class Configuration(Command):
    """Writes docs/configuration.md."""

    out: Path = Field(PAGE, description="where the page goes")

    def run(self) -> int:
        """Writes it."""
        self.out.write_text(page(), encoding="utf-8")
        return 0


def _table(rows: Sequence[str], *more: str) -> str:
    headings = ("option", "variable", "default", "meaning", *more)
    return "\n".join([f"| {' | '.join(headings)} |", f"|{' --- |' * len(headings)}", *rows])


def _about(command: type[Command]) -> str:
    return cleandoc(command.__doc__ or "")


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "" if field.default_factory is not None else "**required**"
    if field.default is None or str(field.default) == "":
        return ""
    unit = "s" if any(getattr(mark, "func", None) is seconds for mark in field.metadata) else ""
    return f"`{_plain(field.default)}{unit}`"


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, ByteSize):
        return value.human_readable(decimal=True, separator=" ").replace(".0 ", " ")
    if isinstance(value, float):
        return f"{value:.15g}"
    if isinstance(value, Path) and value.is_relative_to(ROOT):
        return str(value.relative_to(ROOT))
    return str(value)


_SIGNS: Mapping[str, str] = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}


def _bounds(field: FieldInfo) -> str:
    if get_origin(field.annotation) is Literal:
        *others, last = (f"`{choice}`" for choice in get_args(field.annotation))
        return f"{', '.join(others)} or {last}"
    limits = {
        name: _plain(getattr(mark, name))
        for mark in field.metadata
        for name in _SIGNS
        if getattr(mark, name, None) is not None
    }
    if limits.keys() == {"ge", "le"}:
        return f"{limits['ge']} to {limits['le']}"
    return ", ".join(f"{_SIGNS[name]} {limit}" for name, limit in limits.items())


if __name__ == "__main__":
    sys.exit(main("deploy.configuration", Configuration.__doc__ or "", {}, default=Configuration))
