"""A clock that a test moves: what waits for a time waits for the test, however slow the machine is."""

from __future__ import annotations

import time
from itertools import count

import pytest


class Clock:
    """Stands in for the module `time` of a module under test. It goes by real time, or `stands` still, until moved.

    `looks`: how often somebody asked it how late it is. A `sleep` moves it, and takes no time.
    """

    def __init__(self, *, stands: bool = False) -> None:
        self._began = time.monotonic()
        self._stands = stands
        self._ahead = 0.0
        self._looks = count()
        self.looks = 0

    def monotonic(self) -> float:
        self.looks = next(self._looks) + 1
        return (self._began if self._stands else time.monotonic()) + self._ahead

    def time(self) -> float:
        return time.time() + self._ahead

    def sleep(self, seconds: float) -> None:
        self.move(seconds)

    def move(self, seconds: float) -> None:
        self._ahead += seconds

    def of(self, monkeypatch: pytest.MonkeyPatch, *modules: str) -> Clock:
        """Makes these modules ask this clock."""
        for module in modules:
            monkeypatch.setattr(f"{module}.time", self)
        return self
