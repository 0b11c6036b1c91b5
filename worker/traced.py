"""The spans of one file's way through a worker, below that of its message: scoring with its steps, and the commit."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from edge import metrics, traces
from ledger.receipt import Outcome

Result = TypeVar("Result")


class Traced:
    """One file's. Nothing but a few clock readings while there are no traces."""

    def __init__(self) -> None:
        self._began = self._ended = time.time()
        self._scoring = traces.current()

    def scoring(self, score: Callable[[], Result]) -> Result:
        """Does it, as one span."""
        self._began = time.time()
        with traces.span("scoring"):
            self._scoring = traces.current()
            try:
                return score()
            finally:
                self._ended = time.time()

    def committed(self, receipt: Outcome) -> None:
        """The receipt stands. A step's batches take turns with those of the others: its span has their sum."""
        at = self._began
        for step in metrics.STEPS:
            seconds = receipt.timings.get(step, 0.0)
            if seconds:
                traces.done(step, at, seconds, parent=self._scoring, rows=receipt.rows)
                at += seconds
        traces.done("commit", self._ended, time.time() - self._ended, status=str(receipt.status))
