"""`python -m models`: everything about models, from sample data to who is in production."""

from __future__ import annotations

import sys

from edge.command import Command, main
from models.commands import adopt, aliases, compare, listing, profile, train, watch

# One table per module of commands; such a module imports nothing heavy before a command runs.
COMMANDS: dict[str, type[Command]] = {
    **train.COMMANDS,
    **adopt.COMMANDS,
    **listing.COMMANDS,
    **aliases.COMMANDS,
    **compare.COMMANDS,
    **watch.COMMANDS,
    **profile.COMMANDS,
}

ABOUT = "Trains models, registers them, compares them, and moves the aliases that workers follow."

if __name__ == "__main__":
    sys.exit(main("models", ABOUT, COMMANDS))
