"""What the checks that bring something really up have in common: a folder, deadlines, one line per figure, an exit."""

from __future__ import annotations

import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from deploy.waiting import NotInTime, wait_for
from tests.acceptance.debian import CannotRunHere
from tests.acceptance.engine import EngineFailed

POLL_SECONDS = 0.2

Seen = TypeVar("Seen")


class CheckFailed(Exception):
    """Something that has to hold does not; the text says what was seen instead."""


def checked(command: str, check: Callable[[Path], None]) -> int:
    """Runs a check in a temporary folder that is gone afterwards. 0: all held; 1: not so; 2: it cannot run here."""
    # So that all that was started is ended then, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    began = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="understudy-check-", ignore_cleanup_errors=True) as folder:
            check(Path(folder))
    except CannotRunHere as reason:
        print(f"{command}: {reason}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{command}: ended before it was done", file=sys.stderr)
        return 130
    except (CheckFailed, EngineFailed) as error:
        print(f"{command} FAILED: {error}", file=sys.stderr)
        return 1
    print(f"{command}: all held, in {time.monotonic() - began:.0f} s")
    return 0


def expect(holds: bool, otherwise: str) -> None:
    """Raises CheckFailed with `otherwise` unless it holds."""
    if not holds:
        raise CheckFailed(otherwise)


def until(look: Callable[[], Seen | None], seconds: float, otherwise: Callable[[], str]) -> tuple[Seen, float]:
    """What `look` sees once it sees something, and after how many seconds. Raises CheckFailed in the end."""
    began = time.monotonic()
    try:
        seen = wait_for(look, otherwise, seconds, POLL_SECONDS)
    except NotInTime as error:
        raise CheckFailed(str(error)) from None
    assert seen is not None
    return seen, time.monotonic() - began


def tell(what: str) -> None:
    """A line of the report, seen at once."""
    print(what, flush=True)
