"""A value that is costly to look up, kept for a moment."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Cached(Generic[Value]):
    """Looks a value up at most every `seconds`. While one thread looks, the others get the last value."""

    def __init__(
        self, look_up: Callable[[], Value], first: Value, seconds: float, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._look_up, self._value, self._seconds, self._clock = look_up, first, seconds, clock
        self._looked: float | None = None
        self._looking = Lock()

    def get(self) -> Value:
        """The value, `seconds` old at most unless another thread is looking. Raises what the looking up raises."""
        if (self._looked is None or self._clock() - self._looked >= self._seconds) and self._looking.acquire(
            blocking=False
        ):
            try:
                self._value = self._look_up()
                self._looked = self._clock()
            finally:
                self._looking.release()
        return self._value
