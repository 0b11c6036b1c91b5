"""The commands that make models: `sample`, `train`, `register`."""

from __future__ import annotations

from edge.command import Command

COMMANDS: dict[str, type[Command]] = {}
