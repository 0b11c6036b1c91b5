"""When the reconciler does what: full passes at an interval, and looks at changed files in between."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable

from publisher.publish import Pass, Reconciler

MAX_CHANGES = 10_000  # names waiting to be looked at; with more of them a full pass is quicker


class PublisherLoop:
    """Drives a reconciler until it is told to stop. `changed` and `stop` may be called from anywhere, also signals."""

    def __init__(self, reconciler: Reconciler, interval: float, *, ticks: Callable[[], float] = time.monotonic) -> None:
        self._reconciler, self._interval, self._ticks = reconciler, interval, ticks
        self._wake: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._stopped = False
        self._next_pass = ticks()
        self.progressed = ticks()  # when a step of a pass ended last
        self.last_pass: Pass | None = None  # what the last full pass found

    def changed(self, name: str) -> None:
        """This object came or changed: look at it at once."""
        if self._wake.qsize() < MAX_CHANGES:
            self._wake.put(name)
        else:
            self._next_pass = self._ticks()

    def stop(self) -> None:
        """Ends after the step in hand."""
        self._stopped = True
        self._wake.put(None)

    def run(self) -> None:
        """Full passes and looks, until stopped."""
        while not self._stopped:
            self.turn()
            self._wait(self._next_wake())

    def turn(self) -> None:
        """Everything that is due now; returns at once where nothing is."""
        if self._ticks() >= self._next_pass:
            done = Pass()
            for _ in self._reconciler.steps(done):
                self.progressed = self._ticks()
                self._look(set())
                if self._stopped:
                    return
            self.last_pass = done
            self.progressed = self._ticks()
            self._next_pass = self._ticks() + self._interval
        self._look(set())

    def once(self, *, wait_for_dead_letters: float = 0.0) -> Pass:
        """One full pass, and one more look at what was settling, as soon as that should be complete."""
        done = self._reconciler.full_pass(wait_for_dead_letters=wait_for_dead_letters)
        until = self._reconciler.settling.last_due()
        names = self._reconciler.settling.names()
        while until is not None and not self._stopped and (left := until - self._ticks()) > 0:
            self._wait(left)
        if not self._stopped and names:
            done.published += self._reconciler.look(names)
            done.settling = len(self._reconciler.settling.names())
        return done

    def _next_wake(self) -> float:
        """Seconds until something is due."""
        settled = self._reconciler.settling.next_due()
        due = self._next_pass if settled is None else min(settled, self._next_pass)
        return due - self._ticks()

    def _wait(self, seconds: float) -> None:
        """Waits for a change, at most so long, and looks at what changed."""
        try:
            name = self._wake.get(timeout=max(seconds, 0.0))
        except queue.Empty:
            return
        self._look({name} if name is not None else set())

    def _look(self, names: set[str]) -> None:
        """Looks at these names, all others that were called changed by now, and what should have settled by now."""
        while True:
            try:
                name = self._wake.get_nowait()
            except queue.Empty:
                break
            if name is not None:
                names.add(name)
        names.update(self._reconciler.settling.take_due(self._ticks()))
        if names:
            self._reconciler.look(sorted(names))
