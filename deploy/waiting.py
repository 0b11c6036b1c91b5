"""Waiting for a condition with a deadline: the one loop that all tests and checks use."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

SECONDS = 120.0  # generous: a busy machine may be many times slower than a quiet one

Answer = TypeVar("Answer")


class NotInTime(AssertionError):
    """The condition did not come true before its deadline; the text says which."""


def wait_for(
    condition: Callable[[], Answer], what: str | Callable[[], str] = "", seconds: float = SECONDS, every: float = 0.02
) -> Answer:
    """The first answer of `condition` that counts as true, looked for until the deadline and once after it.

    `what` says what is waited for; it is called, where it is a function, only for the text of NotInTime.
    """
    deadline = time.monotonic() + seconds
    while True:
        is_last = time.monotonic() > deadline
        if answer := condition():
            return answer
        if is_last:
            said = what if isinstance(what, str) else what()
            raise NotInTime(f"not within {seconds:g} s: {said or condition}")
        time.sleep(every)
