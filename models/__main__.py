"""`python -m models`: everything about models, from sample data to who is in production."""

from __future__ import annotations

import sys

from edge.command import Command, main
from models import alias_commands, commands_train, compare_command, profile_command, watch_command

# One table per module of commands; such a module imports nothing heavy before a command runs.
COMMANDS: dict[str, type[Command]] = {
    **commands_train.COMMANDS,
    **alias_commands.COMMANDS,
    **compare_command.COMMANDS,
    **watch_command.COMMANDS,
    **profile_command.COMMANDS,
}

ABOUT = "Trains models, registers them, compares them, and moves the aliases that workers follow."

if __name__ == "__main__":
    sys.exit(main("models", ABOUT, COMMANDS))
