"""A contestant's own program: it is told of files over its standard input, and answers when they are done.

Standard library only: the peers run in an environment of their own.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

DONE = b"done\n"


def take_turns(score: Callable[[list[str], str], None]) -> None:
    """Answers each line, JSON of paths and of a folder for the outputs, once `score` is done with them."""
    answers = sys.stdout.buffer
    sys.stdout = sys.stderr  # what libraries print is no answer
    for line in sys.stdin:
        paths, folder = json.loads(line)
        score(paths, folder)
        answers.write(DONE)
        answers.flush()
