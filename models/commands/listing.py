"""The command `list`: every version of a model."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from pydantic import Field
from rich.console import Console
from rich.table import Table
from rich.text import Text

from edge.command import Command
from models.commands.registry_command import ROLE_STYLE, RegistryCommand
from models.printable import printable
from models.registry.client import RegisteredVersion, Registry


class List(RegistryCommand):
    """Shows every version: its aliases, what it is, how well it did."""

    as_json: bool = Field(False, alias="json", description="print JSON, one array")

    def act(self, registry: Registry) -> None:
        """Prints the table."""
        rows = list_versions(registry)
        if self.as_json:
            print(json.dumps([asdict(row) for row in rows], indent=2))
            return
        if not rows:
            print(f"{self.model} has no versions: `python -m models train all` makes some", file=sys.stderr)
            return
        table = Table(title=printable(self.model), title_justify="left")
        for heading in ("version", "alias", "kind"):
            table.add_column(heading)
        for heading in ("accuracy", "AUC"):
            table.add_column(heading, justify="right")
        for heading in ("created (UTC)", "run"):
            table.add_column(heading)
        for row in reversed(rows):
            roles = Text(", ").join(printable(alias, ROLE_STYLE.get(alias, "bold")) for alias in row.aliases)
            version, kind, run = map(printable, (row.version, row.kind, row.run[:12]))
            table.add_row(version, roles, kind, _score(row.accuracy), _score(row.auc), row.created[:16], run)
        Console().print(table)


@dataclass(frozen=True)
class Row:
    """A version as `list` shows it; `created` is UTC."""

    version: str
    aliases: tuple[str, ...]
    kind: str
    accuracy: float | None
    auc: float | None
    created: str
    run: str


def list_versions(registry: Registry) -> list[Row]:
    """Every version of the model, the oldest first. Raises RegistryUnreachable."""
    standing = registry.aliases()
    rows = []
    for version in registry.versions():
        aliases = tuple(sorted(alias for alias, at in standing.items() if at == version.version))
        created = datetime.fromtimestamp(version.created, UTC).isoformat(" ", "seconds").removesuffix("+00:00")
        accuracy, auc = (_number(version, f"understudy.{name}") for name in ("accuracy", "auc"))
        kind = version.tags.get("understudy.kind", "")
        rows.append(Row(version.version, aliases, kind, accuracy, auc, created, version.run_id))
    return rows


def _number(version: RegisteredVersion, tag: str) -> float | None:
    try:
        return float(version.tags[tag])
    except (KeyError, ValueError):
        return None


def _score(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


COMMANDS: dict[str, type[Command]] = {"list": List}
