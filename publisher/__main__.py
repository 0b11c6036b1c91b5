"""`python -m publisher`: publishes new files, and says how things stand."""

from __future__ import annotations

import sys

from edge.command import Command, main
from publisher.commands import provision, rescore, show
from publisher.commands.run import Run

COMMANDS: dict[str, type[Command]] = {"run": Run, **show.COMMANDS, **rescore.COMMANDS, **provision.COMMANDS}

ABOUT = "Turns new files in a bucket into messages for the workers, and dead letters into receipts."

if __name__ == "__main__":
    sys.exit(main("publisher", ABOUT, COMMANDS, default=Run))
